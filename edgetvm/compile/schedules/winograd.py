"""Winograd convolutions: transforms in registers and level 1, products as for any matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.winograd import OUTPUTS
from edgetvm.compile.schedules.blocks import Block, blocks_of
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.loops import inline_producers, spread
from edgetvm.compile.schedules.stretch import Stretch, stretched
from edgetvm.compile.schedules.strips import strip_by_strip
from edgetvm.compile.schedules.tile import power_of_two
from edgetvm.compile.schedules.tiled import (
    choose_form_tile,
    contraction_form,
    steps_together,
    stretched_contraction,
    sum_in_tiles,
)
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def winograd(function: PrimFunc, profile: BoardProfile, decisions: Decisions) -> Schedule | None:
    """A kernel of `edgetvm.compile.kernels.winograd` with what follows it.

    Strips are computed one after the other, so that what is between the transforms stays in a
    core's caches; each core has its own. A single one is shared by all cores.
    """
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks or not any(OUTPUTS in block.node.annotations for block in blocks):
        return None
    by_name = {block.node.name_hint: block for block in blocks}
    product, result = by_name["contraction"], by_name["result_tile"]
    profile = profile.counted_in(product.dtype)
    step, strip = (int(one) for one in result.node.annotations[OUTPUTS])
    size = by_name["untiled"].spatial
    after = blocks[blocks.index(by_name["untiled"]) :]
    owner = [block for block in after if block.spatial == size][-1].node.name_hint
    names = ("border", "data_rows", "data_tile", "result_rows", "result_tile")
    keep = [*(by_name[name] for name in names), by_name[owner]]
    left = inline_producers(schedule, blocks, keep)
    copy = schedule.get(schedule.cache_write(product.handle, 0, "global")).name_hint
    form = contraction_form(product)
    if form is None:
        return None
    # Not the strips: tiles of several lie apart.
    form = replace(form, rows=None)
    tile = choose_form_tile(product, form, profile, decisions)
    together = steps_together(product, form, profile)
    cores = decisions.choose("cores", (1, profile.cores), shared_by(product.work, profile))
    channels, features = by_name["data_tile"].spatial[-1], size[-1]
    lanes = min(profile.vector_lanes, power_of_two(features))
    data_lanes = min(profile.vector_lanes, power_of_two(channels))
    schedule = stretched_contraction(schedule, product, copy, form, tile)
    schedule = _on_whole_vectors(
        schedule, "data_rows", "data_tile", {4: Stretch(channels, data_lanes)}
    )
    edges = {axis: Stretch(size[axis], step) for axis in (1, 2)}
    schedule = _on_whole_vectors(
        schedule, "result_tile", owner, {3: Stretch(features, lanes)}, edges
    )
    strips = product.spatial[0]
    for block in left:
        if block.node.name_hint not in {*names, "contraction", copy, owner}:
            spread(schedule, _again(schedule, block), profile)
    each = cores if strips == 1 else 1
    sum_in_tiles(schedule, product, copy, form, tile, each, together)
    _data(schedule, data_lanes, each)
    _result(schedule, owner, step, strip, lanes, each)
    if strips == 1:
        spread(schedule, _again(schedule, by_name["border"]), profile)
        return schedule
    shared, *_ = schedule.get_loops(schedule.get_sblock(copy))
    schedule.split(shared, [strips, None], preserve_unit_iters=True)
    parts = ("border", "data_tile", copy, owner)
    function = strip_by_strip(
        schedule.mod["main"], parts, ("border", "data_tile", copy), strips, cores
    )
    return s_tir.Schedule(function)


def _on_whole_vectors(
    schedule: Schedule,
    sums: str,
    owner: str,
    vectors: dict[int, Stretch],
    tiles: Mapping[int, Stretch] = MappingProxyType({}),
) -> Schedule:
    """The schedule begun again with whole vectors in two blocks, and whole tiles in the owner."""
    from tvm import s_tir

    axes = {axis: one for axis, one in vectors.items() if one.extent % one.tile}
    both = {axis: one for axis, one in {**tiles, **vectors}.items() if one.extent % one.tile}
    if not both:
        return schedule
    function = stretched(schedule.mod["main"], sums, owner, axes, owner_axes=both)
    return s_tir.Schedule(function)


def _again(schedule: Any, block: Block) -> Block:
    """The block of that name in another schedule."""
    handle = schedule.get_sblock(block.node.name_hint)
    return Block(handle, schedule.get(handle), block.spatial, block.reduction)


def _data(schedule: Any, lanes: int, cores: int) -> None:
    """One vector of channels of one tile at a time."""
    tile = schedule.get_sblock("data_tile")
    strips, row, column, tiles, channels = schedule.get_loops(tile)
    vectors, vector = schedule.split(channels, [None, lanes], preserve_unit_iters=True)
    schedule.reorder(strips, tiles, vectors, row, column, vector)
    schedule.compute_at(schedule.get_sblock("data_rows"), vectors, preserve_unit_loops=True)
    schedule.set_scope(schedule.get_sblock("data_rows"), 0, "local")
    if cores > 1:
        schedule.parallel(tiles)
    for name in ("data_tile", "data_rows"):
        first, second, *_, vector = _behind(schedule, name, vectors)
        schedule.unroll(first)
        schedule.unroll(second)
        schedule.vectorize(vector)


def _behind(schedule: Any, name: str, loop: Any) -> list[Any]:
    """The loops of a block within another of them, without those of one turn."""
    loops = schedule.get_loops(schedule.get_sblock(name))
    at = [schedule.get(one).loop_var for one in loops].index(schedule.get(loop).loop_var)
    return [one for one in loops[at + 1 :] if int(schedule.get(one).extent) > 1]


def _result(schedule: Any, owner: str, step: int, strip: int, lanes: int, cores: int) -> None:
    """One vector of features of one tile at a time, strip by strip."""
    store = schedule.get_sblock(owner)
    batch, down, across, features = schedule.get_loops(store)
    strips, within, row = schedule.split(down, [None, strip, step], preserve_unit_iters=True)
    columns, column = schedule.split(across, [None, step], preserve_unit_iters=True)
    vectors, vector = schedule.split(features, [None, lanes], preserve_unit_iters=True)
    schedule.reorder(batch, strips, within, columns, vectors, row, column, vector)
    schedule.fuse(batch, strips)
    for name in ("result_tile", "result_rows"):
        block = schedule.get_sblock(name)
        schedule.set_scope(block, 0, "local")
        schedule.compute_at(block, vectors, preserve_unit_loops=True)
    if cores > 1:
        schedule.parallel(schedule.fuse(within, columns))
    for name in (owner, "result_tile", "result_rows"):
        *inner, vector = _behind(schedule, name, vectors)
        for loop in inner:
            schedule.unroll(loop)
        schedule.vectorize(vector)
