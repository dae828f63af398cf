"""Whole tiles where the extents do not divide: the last tile lies over its neighbour.

The kernel is rewritten before it is scheduled. Axes of the sums get the next extent that the tile
divides; what is read and stored is where the tile lies once it is moved back to the edge. Elements
under two tiles are computed twice, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.rewriting import like, mentions, realizes_of, with_fields
from edgetvm.compile.schedules.tile import covered

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


@dataclass(frozen=True)
class Stretch:
    """One axis and the tile along it.

    Attributes:
        extent: of the axis, or of each of its groups.
        tile: elements of it in one tile. A tile longer than the extent does not move: what is
            behind the end is summed, from weights of zero, and never stored.
        groups: that lie behind one another on the axis; no tile reaches over a group's end.
    """

    extent: int
    tile: int
    groups: int = 1

    @property
    def each(self) -> int:
        """The extent of a group in whole tiles."""
        return covered(self.extent, self.tile)

    @property
    def stretched(self) -> int:
        """The extent of all groups in whole tiles."""
        return self.groups * self.each

    def inside(self, variable: Any) -> Any:
        """Where in its group an element of the stretched axis lies."""
        from tvm import tirx

        if self.tile > self.extent:
            return variable
        start = variable % self.each // self.tile * self.tile
        return tirx.Min(start, like(variable, self.extent - self.tile)) + variable % self.tile

    def actual(self, variable: Any) -> Any:
        """Where an element of the stretched axis lies in the real one."""
        if self.groups == 1:
            return self.inside(variable)
        return variable // self.each * self.extent + self.inside(variable)


def stretched(
    function: PrimFunc,
    main: str,
    owner: str,
    axes: Mapping[int, Stretch],
    packed_width: int | None = None,
    owner_axes: Mapping[int, Stretch] | None = None,
) -> PrimFunc:
    """The function with those spatial axes of two blocks stretched.

    Args:
        function: unscheduled: each block under loops of its own.
        main: the block that sums into a tensor of its own.
        owner: the block that reads each sum once, in place, and stores the results.
        axes: by position, those whose tile does not divide them.
        packed_width: of blocks of packed weights, where the main block reads such.
        owner_axes: of the owner, where the main block has whole tiles on some axes already.
    """
    import tvm_ffi
    from tvm import ir, s_tir, tirx

    realizes = realizes_of(function, (main, owner))
    sums = realizes[main].block.writes[0].source
    shape = [int(size) for size in sums.shape]
    if owner_axes is None:
        owner_axes = {axis: one for axis, one in axes.items() if one.tile <= one.extent}
    stretches = {main: axes, owner: owner_axes}
    for axis, stretch in axes.items():
        shape[axis] = stretch.stretched
    extents = {
        realize.iter_values[axis]: stretch.stretched
        for name, realize in realizes.items()
        for axis, stretch in stretches[name].items()
    }
    longer = tirx.decl_buffer(shape, sums.dtype, sums.name, scope=sums.scope())

    def on_loop(loop: Any) -> Any:
        if loop.loop_var not in extents:
            return loop
        extent = like(loop.extent, extents[loop.loop_var])
        return tirx.For(loop.loop_var, loop.min, extent, loop.kind, loop.body)

    def on_block(block: Any) -> Any:
        if block.name_hint in (main, owner):
            return rewritten(block)
        if not any(one.same_as(sums) for one in block.alloc_buffers):
            return block
        return with_fields(
            block,
            alloc_buffers=[longer if one.same_as(sums) else one for one in block.alloc_buffers],
        )

    def rewritten(block: Any) -> Any:
        spatial = [axis.var for axis in block.iter_vars if int(axis.iter_type) == 0]
        where = {spatial[axis]: stretch for axis, stretch in stretches[block.name_hint].items()}
        last = spatial[-1]
        written = [region.source for region in block.writes]
        packed = block.name_hint == main and packed_width is not None and last in where

        def lane_of(places: list[Any]) -> int | None:
            """Which index of packed weights counts the features of a block."""
            if not packed or (where[last].groups > 1 and not mentions(places[0], last)):
                return None  # data of a grouped convolution, whose channels are its group's
            found = [at for at, place in enumerate(places) if at and mentions(place, last)]
            return found[0] if found else None

        def of_pack(places: list[Any], lane: int, mutator: Any) -> list[Any]:
            """The indices of packed weights, whose blocks hold what lies twice in the output."""
            moved = [mutator.mutate(place) for place in places]
            moved[0] = last // packed_width if where[last].groups > 1 else places[0]
            moved[lane] = last % packed_width
            return moved

        def in_place(places: list[Any]) -> list[Any]:
            """Tiles that lie over each other in the output are apart among the sums."""
            return places if len(places) != len(spatial) else spatial

        def on_variable(variable: Any, _: Any) -> Any:
            if variable.same_as(sums):
                return longer
            return where[variable].actual(variable) if variable in where else variable

        def on_division(division: Any, mutator: Any) -> Any:
            stretch = where.get(division.a) if isinstance(division.a, ir.Var) else None
            if stretch is None or getattr(division.b, "value", None) != stretch.extent:
                return mutator.default_mutate(division)
            if isinstance(division, tirx.FloorDiv):
                return division.a // stretch.each
            return stretch.inside(division.a)

        def on_load(load: Any, mutator: Any) -> Any:
            if load.source.same_as(sums):
                return tirx.BufferLoad(longer, in_place(list(load.indices)))
            lane = lane_of(list(load.indices))
            if lane is not None:
                return tirx.BufferLoad(load.source, of_pack(list(load.indices), lane, mutator))
            return mutator.default_mutate(load)

        def on_store(store: Any, mutator: Any) -> Any:
            if store.buffer.same_as(sums):
                return tirx.BufferStore(longer, mutator.mutate(store.value), list(store.indices))
            return mutator.default_mutate(store)

        def on_region(region: Any, mutator: Any) -> Any:
            if region.source.same_as(sums):
                places = in_place([part.min for part in region.region])
                return tirx.BufferRegion(
                    longer, [ir.Range.from_min_extent(one, like(one, 1)) for one in places]
                )
            places = [part.min for part in region.region]
            lane = lane_of(places)
            if lane is not None:
                return tirx.BufferRegion(
                    region.source,
                    [
                        ir.Range.from_min_extent(place, like(place, 1))
                        for place in of_pack(places, lane, mutator)
                    ],
                )
            if block.name_hint == owner and any(one.same_as(region.source) for one in written):
                return tirx.BufferRegion(region.source, [widened(part) for part in region.region])
            return mutator.default_mutate(region)

        def widened(part: Any) -> Any:
            """TVM cannot see that overlapping tiles cover all that later blocks read."""
            stretch = where.get(part.min) if isinstance(part.min, ir.Var) else None
            if stretch is None:
                return part
            whole = stretch.groups * stretch.extent
            return ir.Range.from_min_extent(like(part.min, 0), like(part.min, whole))

        def mutate(part: Any) -> Any:
            callbacks = [
                (ir.expr.TensorRegion, on_region),
                (ir.expr.TensorLoad, on_load),
                (tirx.BufferStore, on_store),
                ((tirx.FloorDiv, tirx.FloorMod), on_division),
                (ir.Var, on_variable),
            ]
            return tvm_ffi.structural_mutate(part, callbacks)

        return with_fields(
            block,
            iter_vars=[
                tirx.IterVar(
                    ir.Range.from_min_extent(
                        axis.dom.min, like(axis.dom.extent, where[axis.var].stretched)
                    ),
                    axis.var,
                    axis.iter_type,
                )
                if axis.var in where
                else axis
                for axis in block.iter_vars
            ],
            reads=[mutate(region) for region in block.reads],
            writes=[mutate(region) for region in block.writes],
            body=mutate(block.body),
            init=None if block.init is None else mutate(block.init),
        )

    body = tvm_ffi.structural_map(function.body, [(tirx.For, on_loop), (s_tir.SBlock, on_block)])
    return function.with_body(body)
