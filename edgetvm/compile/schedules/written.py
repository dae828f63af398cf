"""Rules that write their loops themselves, see `groups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.schedules.blocks import Block, blocks_of
from edgetvm.compile.schedules.columns import ColumnGroup
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.groups import Plan, groups_of
from edgetvm.compile.schedules.loops import inline_producers, paddings
from edgetvm.compile.schedules.rows import RowGroup
from edgetvm.compile.schedules.stages import Stage, is_product, loads_of, stages_of

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def rows(function: PrimFunc, profile: BoardProfile, _: Decisions) -> Schedule | None:
    """Softmax, norms, reductions of the innermost axes."""
    return _written(function, profile, RowGroup)


def columns(function: PrimFunc, profile: BoardProfile, _: Decisions) -> Schedule | None:
    """Pooling and reductions that leave the innermost axis."""
    return _written(function, profile, ColumnGroup)


def elements(function: PrimFunc, profile: BoardProfile, _: Decisions) -> Schedule | None:
    """Whatever computes each element for itself."""
    return _written(function, profile, Stage)


def _written(function: PrimFunc, profile: BoardProfile, kind: type) -> Schedule | None:
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks or any(is_product(stage) for stage in stages_of(schedule) or ()):
        return None
    costly = [block for block in blocks if _costly(block, blocks)]
    inline_producers(schedule, blocks, keep=[*costly, *paddings(blocks)])
    stages = stages_of(schedule)
    groups = None if not stages else groups_of(_needed(stages, function))
    if not groups:
        return None
    plan = Plan(schedule.mod["main"], tuple(groups))
    if not isinstance(plan.heaviest, kind) or not plan.fits_the_stack:
        return None
    return s_tir.Schedule(plan.kernel(profile))


def _needed(stages: list[Stage], function: PrimFunc) -> list[Stage]:
    """The stages without those that nothing reads: fusing leaves results that have no use."""
    wanted = list(function.params)
    found: list[Stage] = []
    for stage in reversed(stages):
        if any(buffer in wanted for buffer in stage.buffers):
            found.insert(0, stage)
            wanted += [one.source for value in stage.values for one in loads_of(value)]
    return found


def _costly(block: Block, blocks: list[Block]) -> bool:
    """Whether a block is read in several places and calls functions: to repeat them would cost."""
    import tvm_ffi
    from tvm import ir

    calls: list[object] = []
    tvm_ffi.structural_walk(block.node.body, (ir.Call, calls.append), order="pre")
    if not calls:
        return False
    written = block.node.writes[0].source
    readers = [
        other for other in blocks if any(r.source.same_as(written) for r in other.node.reads)
    ]
    return len(readers) > 1
