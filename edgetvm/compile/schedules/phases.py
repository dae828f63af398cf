"""Transposed convolutions: one phase of the strides at a time, stored where its elements lie."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import PACKED
from edgetvm.compile.kernels.transposed import PHASES
from edgetvm.compile.schedules.blocks import Block, blocks_of
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.epilogue import paddings_of
from edgetvm.compile.schedules.loops import inline_producers, spread
from edgetvm.compile.schedules.rewriting import with_axes_split
from edgetvm.compile.schedules.stretch import Stretch, stretched
from edgetvm.compile.schedules.tile import Tile, choose_tile, tiles
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def phases(function: PrimFunc, profile: BoardProfile, decisions: Decisions) -> Schedule | None:
    """A kernel of `edgetvm.compile.kernels.transposed` whose output holds whole strides."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    mains = [block for block in blocks if PHASES in block.node.annotations]
    if not mains:
        return None
    main = mains[0]
    profile = profile.counted_in(main.dtype)
    strides = [int(one) for one in main.node.annotations[PHASES]]
    after = blocks[blocks.index(main) + 1 :]
    size = after[0].spatial
    if any(extent % stride for extent, stride in zip(size[1:-1], strides, strict=True)):
        return None
    owner = [block for block in after if block.spatial == size][-1]
    left = inline_producers(schedule, blocks, [*paddings_of(blocks, main), owner])
    if len(schedule.get_consumers(main.handle)) != 1:
        return None
    points = [extent // stride for extent, stride in zip(size[1:-1], strides, strict=True)]
    cores = decisions.choose("cores", (1, profile.cores), shared_by(main.work, profile))
    width = int(main.node.annotations[PACKED][1])
    down = points[-2] if len(points) > 1 else 1
    outer = math.prod(strides) * size[0] * math.prod(points[:-2])
    default = choose_tile(size[-1], down, points[-1], outer, profile, cores, width)
    candidates = tuple(tiles(size[-1], 1, points[-1], profile, width))
    tile = decisions.choose("tile", candidates, replace(default, rows=1))
    if size[-1] % width:
        features = Stretch(size[-1], width)
        names = main.node.name_hint, owner.node.name_hint
        last = {len(main.spatial) - 1: features}, {len(size) - 1: features}
        schedule = s_tir.Schedule(
            stretched(schedule.mod["main"], *names, last[0], width, owner_axes=last[1])
        )
    split = {1 + axis: stride for axis, stride in enumerate(strides)}
    schedule = s_tir.Schedule(with_axes_split(schedule.mod["main"], owner.node.name_hint, split))
    apart = {block.node.name_hint for block in left} - {
        main.node.name_hint,
        owner.node.name_hint,
    }
    for block in blocks_of(schedule) or []:
        if block.node.name_hint in apart:
            spread(schedule, block, profile)
    columns = max(n for n in range(1, tile.columns + 1) if points[-1] % n == 0)
    _tile(schedule, main, owner.node.name_hint, Tile(tile.lanes, tile.vectors, 1, columns))
    if cores > 1:
        schedule.parallel(schedule.get_loops(schedule.get_sblock(owner.node.name_hint))[0])
    return schedule


def _tile(schedule: Any, main: Block, owner: str, tile: Tile) -> None:
    result, store = schedule.get_sblock(main.node.name_hint), schedule.get_sblock(owner)
    batch, *spatial, features = schedule.get_loops(store)
    places, which = spatial[::2], spatial[1::2]
    columns, column = schedule.split(places[-1], [None, tile.columns], preserve_unit_iters=True)
    blocks, vectors, lanes = schedule.split(
        features, [None, tile.vectors, tile.lanes], preserve_unit_iters=True
    )
    schedule.reorder(*which, batch, blocks, *places[:-1], columns, column, vectors, lanes)
    schedule.set_scope(result, 0, "local")
    schedule.compute_at(result, columns, preserve_unit_loops=True)
    schedule.fuse(*which, batch, blocks, *places[:-1])
    rank = len(main.spatial)
    loops = schedule.get_loops(result)[-rank - len(main.reduction) :]
    inner, reduction = loops[:rank], loops[rank:]
    vector, lane = schedule.split(inner[-1], [None, tile.lanes], preserve_unit_iters=True)
    schedule.reorder(*inner[:-2], *reduction, inner[-2], vector, lane)
    for loop in (inner[-2], vector, column, vectors):
        schedule.unroll(loop)
    schedule.vectorize(lane)
    schedule.vectorize(lanes)
    start = schedule.get_loops(schedule.decompose_reduction(result, reduction[0]))
    for loop in start[-3:-1]:
        schedule.unroll(loop)
    schedule.vectorize(start[-1])
