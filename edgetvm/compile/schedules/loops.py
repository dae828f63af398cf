"""Loops over many elements, on all cores: the rule for what no other rule covers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.schedules.blocks import Block, blocks_of, period, tests_last_axis
from edgetvm.compile.schedules.decisions import Decisions

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

# Starting all cores costs about 2 us: below so many body runs, one core is done sooner.
PARALLEL_WORK = 1 << 15


def inline_producers(schedule: Any, blocks: list[Block], keep: list[Block]) -> list[Block]:
    """Inline every element-wise block that another block of the kernel reads, but those to keep.

    Returns:
        the blocks that are left.
    """
    from tvm.s_tir import ScheduleError

    left = []
    for index, block in enumerate(blocks):
        inlined = False
        if not block.reduction and block not in keep and index < len(blocks) - 1:
            try:
                schedule.compute_inline(block.handle)
                inlined = True
            except ScheduleError:
                pass  # it is an output, or read in a way that cannot be inlined: it stays
        if not inlined:
            left.append(block)
    return left


def paddings(blocks: list[Block]) -> list[Block]:
    """Blocks that pad the last axis of what a reduction reads: their tests would be in its loops,
    different for each element of a vector.
    """
    if not any(block.reduction for block in blocks):
        return []
    return [block for block in blocks if block.spatial and tests_last_axis(block)]


def spread(schedule: Any, block: Block, profile: BoardProfile) -> None:
    """Run a block's outer loops on all cores, where there is enough work.

    The innermost spatial loop is left to LLVM, which vectorises it. One that an index takes modulo
    8 is split there first: LLVM would read 16 elements in a row with AVX-512, 8 of them behind the
    end of what repeats.
    """
    loops = schedule.get_loops(block.handle)
    spatial = loops[: len(block.spatial)]
    repeated = period(block) if spatial else None
    if repeated is not None:
        schedule.split(spatial[-1], [None, repeated])
        spatial = schedule.get_loops(block.handle)[: len(block.spatial)]
    if not spatial or profile.cores == 1 or block.work < PARALLEL_WORK:
        return
    outer = spatial[:-1] if block.spatial[-1] >= 4 and len(spatial) > 1 else spatial
    if math.prod(block.spatial[: len(outer)]) < 2:
        outer = spatial
    schedule.parallel(schedule.fuse(*outer) if len(outer) > 1 else outer[0])


def loops(function: PrimFunc, profile: BoardProfile, _: Decisions) -> Schedule | None:
    """Element-wise blocks are inlined; what is left runs on all cores."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    for block in inline_producers(schedule, blocks, keep=paddings(blocks)):
        spread(schedule, block, profile)
    return schedule
