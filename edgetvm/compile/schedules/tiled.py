"""Convolutions and matrix products: a tile of the output stays in registers.

The tile is one vector along the output's last axis, times some points of another axis along which
the vector operand does not change, so that each vector that is loaded is used for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.schedules.blocks import Block, blocks_of, indices_of_reads, uses
from edgetvm.compile.schedules.loops import PARALLEL_WORK, inline_producers, spread

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

# More points than this along one axis gain nothing and cost code.
_MOST_POINTS = 14


@dataclass(frozen=True)
class Tile:
    """What one pass of the innermost loops computes.

    Attributes:
        lanes: elements along the output's last axis: a power of two.
        points_axis: the other axis; None where none lets operands be used again.
        points: elements along it.
    """

    lanes: int
    points_axis: int | None
    points: int


def _largest_divisor(extent: int, most: int) -> int:
    return max(size for size in range(1, min(extent, most) + 1) if extent % size == 0)


def choose_tile(block: Block, profile: BoardProfile) -> Tile | None:
    """The tile for a reduction block, or None where its last axis is not read contiguously."""
    if not block.spatial:
        return None
    last = len(block.spatial) - 1
    variable = block.spatial_variables[last]
    vector_reads, strided = [], False
    for indices in indices_of_reads(block):
        used = [uses(index, variable) for index in indices]
        strided = strided or any(used[:-1])
        if used and used[-1]:
            vector_reads.append(indices)
    if strided or not vector_reads:
        return None
    lanes = math.gcd(block.spatial[last], 2 * profile.vector_lanes)
    vectors = max(1, lanes // profile.vector_lanes)
    axes = [
        axis
        for axis in range(last)
        if block.spatial[axis] > 1
        and not any(
            uses(index, block.spatial_variables[axis])
            for indices in vector_reads
            for index in indices
        )
    ]
    if not axes:
        return Tile(lanes, None, 1)
    # One register for each vector of an operand and one for what is broadcast; the rest hold sums.
    most = min(_MOST_POINTS, max(1, (profile.vector_registers - vectors - 1) // vectors))
    best = max(axes, key=lambda axis: (_largest_divisor(block.spatial[axis], most), axis))
    return Tile(lanes, best, _largest_divisor(block.spatial[best], most))


def tiled(function: PrimFunc, profile: BoardProfile) -> Schedule | None:
    """One reduction block whose last axis is contiguous, with or without what follows it."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    reductions = [block for block in blocks if block.reduction]
    if len(reductions) != 1 or math.prod(reductions[0].reduction) < 4 or not reductions[0].spatial:
        return None
    main = reductions[0]
    tile = choose_tile(main, profile)
    if tile is None:
        return None
    position = blocks.index(main)
    paddings = [block for block in blocks[:position] if _pads(block)]
    left = inline_producers(schedule, blocks, keep=paddings)
    after = left[left.index(main) + 1 :]
    for block in left[: left.index(main)]:
        spread(schedule, block, profile)
    if len(after) == 1 and after[0].spatial == main.spatial:
        owner = after[0].handle
    else:
        for block in after:
            spread(schedule, block, profile)
        owner = schedule.cache_write(main.handle, 0, "local")
    _tile(schedule, owner, main, tile, profile)
    return schedule


def _pads(block: Block) -> bool:
    """Whether a block makes a tensor larger: it is staged, since its test would be repeated."""
    source = block.node.reads[0].source.shape if block.node.reads else ()
    return math.prod(int(size) for size in source) < math.prod(block.spatial)


def _tile(schedule: Any, owner: Any, main: Block, tile: Tile, profile: BoardProfile) -> None:
    """Sum a tile in registers, then store it from `owner`'s block, epilogue included."""
    result = main.handle
    last = len(main.spatial) - 1
    axes = schedule.get_loops(owner)
    outer_lanes, lanes = schedule.split(axes[last], [None, tile.lanes], preserve_unit_iters=True)
    outer = [*axes[:last], outer_lanes]
    inner = [lanes]
    if tile.points_axis is not None:
        outer_points, points = schedule.split(
            axes[tile.points_axis], [None, tile.points], preserve_unit_iters=True
        )
        outer[tile.points_axis] = outer_points
        inner = [points, lanes]
    schedule.reorder(*outer, *inner)
    tiles = schedule.fuse(*outer)
    if main.work >= PARALLEL_WORK and profile.cores > 1:
        schedule.parallel(tiles)
    schedule.set_scope(result, 0, "local")
    schedule.compute_at(result, tiles, preserve_unit_loops=True)
    loops = schedule.get_loops(result)
    mine = loops[-(len(main.spatial) + len(main.reduction)) :]
    spatial, reduction = mine[: len(main.spatial)], mine[len(main.spatial) :]
    single = [loop for axis, loop in enumerate(spatial) if axis not in (tile.points_axis, last)]
    unrolled = [spatial[tile.points_axis]] if tile.points_axis is not None else []
    schedule.reorder(*single, *reduction, *unrolled, spatial[last])
    # Marked before the reduction is split: afterwards its block is no longer complete.
    for loop in unrolled:
        schedule.unroll(loop)
    schedule.vectorize(spatial[last])
    start = schedule.decompose_reduction(result, reduction[0])
    for block in (start, owner):
        ends = schedule.get_loops(block)
        schedule.vectorize(ends[-1])
        if unrolled:
            schedule.unroll(ends[-2])
