"""Winograd convolutions: transforms in registers and level 1, products as for any matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.winograd import OUTPUTS
from edgetvm.compile.schedules.blocks import Block, blocks_of
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.loops import inline_producers, spread
from edgetvm.compile.schedules.stretch import Stretch, stretched
from edgetvm.compile.schedules.tile import power_of_two
from edgetvm.compile.schedules.tiled import (
    choose_form_tile,
    contraction_form,
    steps_together,
    tile_contraction,
)
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def winograd(function: PrimFunc, profile: BoardProfile, decisions: Decisions) -> Schedule | None:
    """A kernel of `edgetvm.compile.kernels.winograd` with what follows it."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks or not any(OUTPUTS in block.node.annotations for block in blocks):
        return None
    by_name = {block.node.name_hint: block for block in blocks}
    product, result = by_name["contraction"], by_name["result_tile"]
    profile = profile.counted_in(product.dtype)
    step = int(result.node.annotations[OUTPUTS])
    size = by_name["untiled"].spatial
    after = blocks[blocks.index(by_name["untiled"]) :]
    owner = [block for block in after if block.spatial == size][-1]
    names = ("border", "data_rows", "data_tile", "result_rows", "result_tile")
    keep = [*(by_name[name] for name in names), owner]
    left = inline_producers(schedule, blocks, keep)
    copy = schedule.get(schedule.cache_write(product.handle, 0, "global")).name_hint
    form = contraction_form(product)
    if form is None:
        return None
    tile = choose_form_tile(product, form, profile, decisions)
    together = steps_together(product, form, profile)
    cores = decisions.choose("cores", (1, profile.cores), shared_by(product.work, profile))
    features = size[-1]
    lanes = min(profile.vector_lanes, power_of_two(features))
    edges = {axis: Stretch(size[axis], step) for axis in (1, 2)}
    last = {3: Stretch(features, lanes)}
    whole = {axis: one for axis, one in {**edges, **last}.items() if one.extent % one.tile}
    function = stretched(
        schedule.mod["main"],
        "result_tile",
        owner.node.name_hint,
        {axis: one for axis, one in last.items() if axis in whole},
        owner_axes=whole,
    )
    schedule = tile_contraction(
        s_tir.Schedule(function), product, copy, form, tile, cores, together
    )
    done = {*names, "contraction", copy, owner.node.name_hint}
    for block in left:
        if block.node.name_hint not in done:
            spread(schedule, _again(schedule, block), profile)
    spread(schedule, _again(schedule, by_name["border"]), profile)
    _data(schedule, by_name["data_tile"], profile, cores)
    _result(schedule, owner.node.name_hint, step, lanes, cores)
    return schedule


def _again(schedule: Any, block: Block) -> Block:
    """The block of that name in another schedule."""
    handle = schedule.get_sblock(block.node.name_hint)
    return Block(handle, schedule.get(handle), block.spatial, block.reduction)


def _data(schedule: Any, block: Block, profile: BoardProfile, cores: int) -> None:
    """One vector of channels of one tile at a time."""
    tile = schedule.get_sblock("data_tile")
    row, column, tiles, channels = schedule.get_loops(tile)
    lanes = math.gcd(block.spatial[-1], profile.vector_lanes)
    vectors, vector = schedule.split(channels, [None, lanes], preserve_unit_iters=True)
    schedule.reorder(tiles, vectors, row, column, vector)
    schedule.compute_at(schedule.get_sblock("data_rows"), vectors, preserve_unit_loops=True)
    schedule.set_scope(schedule.get_sblock("data_rows"), 0, "local")
    if cores > 1:
        schedule.parallel(tiles)
    for name in ("data_tile", "data_rows"):
        first, second, *_, vector = schedule.get_loops(schedule.get_sblock(name))[2:]
        schedule.unroll(first)
        schedule.unroll(second)
        schedule.vectorize(vector)


def _result(schedule: Any, owner: str, step: int, lanes: int, cores: int) -> None:
    """One vector of features of one tile at a time."""
    store = schedule.get_sblock(owner)
    batch, down, across, features = schedule.get_loops(store)
    rows, row = schedule.split(down, [None, step], preserve_unit_iters=True)
    columns, column = schedule.split(across, [None, step], preserve_unit_iters=True)
    vectors, vector = schedule.split(features, [None, lanes], preserve_unit_iters=True)
    schedule.reorder(batch, rows, columns, vectors, row, column, vector)
    shared = schedule.fuse(batch, rows, columns)
    for name in ("result_tile", "result_rows"):
        block = schedule.get_sblock(name)
        schedule.set_scope(block, 0, "local")
        schedule.compute_at(block, vectors, preserve_unit_loops=True)
    if cores > 1:
        schedule.parallel(shared)
    for name in (owner, "result_tile", "result_rows"):
        *inner, vector = schedule.get_loops(schedule.get_sblock(name))[2:]
        for loop in inner:
            schedule.unroll(loop)
        schedule.vectorize(vector)
