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
    from tvm import s_tir, tirx

    realizes = realizes_of(function, (main, owner))
    sums = realizes[main].block.writes[0].source
    shape = list(sums.shape)
    if owner_axes is None:
        owner_axes = {axis: one for axis, one in axes.items() if one.tile <= one.extent}
    stretches = {main: axes, owner: owner_axes}
    for axis, stretch in axes.items():
        shape[axis] = like(shape[axis], stretch.stretched)
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
        name = block.name_hint
        if name in stretches:
            width = packed_width if name == main else None
            return _Stretching(block, stretches[name], sums, longer, width).block(name == owner)
        if not any(one.same_as(sums) for one in block.alloc_buffers):
            return block
        return with_fields(
            block,
            alloc_buffers=[longer if one.same_as(sums) else one for one in block.alloc_buffers],
        )

    body = tvm_ffi.structural_map(function.body, [(tirx.For, on_loop), (s_tir.SBlock, on_block)])
    return function.with_body(body)


class _Stretching:
    """One block on stretched axes."""

    def __init__(
        self,
        block: Any,
        axes: Mapping[int, Stretch],
        sums: Any,
        longer: Any,
        packed_width: int | None,
    ) -> None:
        self._block, self._axes = block, axes
        self._sums, self._longer = sums, longer
        self._spatial = [axis.var for axis in block.iter_vars if int(axis.iter_type) == 0]
        self._where = {self._spatial[axis]: stretch for axis, stretch in axes.items()}
        self._last = self._spatial[-1]
        self._packed_width = packed_width if self._last in self._where else None

    def block(self, is_owner: bool) -> Any:
        """The block anew; an owner stores tiles that lie over each other."""
        from tvm import ir, tirx

        block = self._block

        def longer(axis: Any) -> Any:
            stretch = self._where.get(axis.var)
            if stretch is None:
                return axis
            extent = like(axis.dom.extent, stretch.stretched)
            whole = ir.Range.from_min_extent(axis.dom.min, extent)
            return tirx.IterVar(whole, axis.var, axis.iter_type)

        writes = [self._mutated(region) for region in block.writes]
        if is_owner:
            writes = [self._widened(region) for region in block.writes]
        return with_fields(
            block,
            iter_vars=[longer(axis) for axis in block.iter_vars],
            reads=[self._mutated(region) for region in block.reads],
            writes=writes,
            body=self._mutated(block.body),
            init=None if block.init is None else self._unpacked()._mutated(block.init),
        )

    def _unpacked(self) -> _Stretching:
        """For what reads no packed weights."""
        return _Stretching(self._block, self._axes, self._sums, self._longer, None)

    def _mutated(self, part: Any) -> Any:
        import tvm_ffi
        from tvm import ir, tirx

        callbacks = [
            (ir.expr.TensorRegion, self._region),
            (ir.expr.TensorLoad, self._load),
            (tirx.BufferStore, self._store),
            ((tirx.FloorDiv, tirx.FloorMod), self._division),
            (ir.Var, self._variable),
        ]
        return tvm_ffi.structural_mutate(part, callbacks)

    def _variable(self, variable: Any, _: Any) -> Any:
        if variable.same_as(self._sums):
            return self._longer
        stretch = self._where.get(variable)
        return variable if stretch is None else stretch.actual(variable)

    def _division(self, division: Any, mutator: Any) -> Any:
        from tvm import ir, tirx

        stretch = self._where.get(division.a) if isinstance(division.a, ir.Var) else None
        if stretch is None or getattr(division.b, "value", None) != stretch.extent:
            return mutator.default_mutate(division)
        if isinstance(division, tirx.FloorDiv):
            return division.a // stretch.each
        return stretch.inside(division.a)

    def _load(self, load: Any, mutator: Any) -> Any:
        from tvm import tirx

        places = list(load.indices)
        if load.source.same_as(self._sums):
            return tirx.BufferLoad(self._longer, self._in_place(places))
        packed = self._of_pack(places, mutator)
        return (
            mutator.default_mutate(load) if packed is None else tirx.BufferLoad(load.source, packed)
        )

    def _store(self, store: Any, mutator: Any) -> Any:
        from tvm import tirx

        if not store.buffer.same_as(self._sums):
            return mutator.default_mutate(store)
        return tirx.BufferStore(self._longer, mutator.mutate(store.value), list(store.indices))

    def _region(self, region: Any, mutator: Any) -> Any:
        from tvm import tirx

        places = [part.min for part in region.region]
        source, moved = region.source, self._of_pack(places, mutator)
        if source.same_as(self._sums):
            source, moved = self._longer, self._in_place(places)
        if moved is None:
            return mutator.default_mutate(region)
        return tirx.BufferRegion(
            source, [self._around(*pair) for pair in zip(moved, region.region, strict=True)]
        )

    def _around(self, place: Any, part: Any) -> Any:
        """What is read along an axis: one element where that is stretched, else what was."""
        from tvm import ir

        kept = place.same_as(part.min) and not (isinstance(place, ir.Var) and place in self._where)
        return part if kept else ir.Range.from_min_extent(place, like(place, 1))

    def _widened(self, region: Any) -> Any:
        """TVM cannot see that overlapping tiles cover all that later blocks read."""
        from tvm import ir, tirx

        def widened(part: Any) -> Any:
            stretch = self._where.get(part.min) if isinstance(part.min, ir.Var) else None
            if stretch is None:
                return part
            whole = like(part.min, stretch.groups * stretch.extent)
            return ir.Range.from_min_extent(like(part.min, 0), whole)

        return tirx.BufferRegion(region.source, [widened(part) for part in region.region])

    def _in_place(self, places: list[Any]) -> list[Any]:
        """Tiles that lie over each other in the output are apart among the sums."""
        if len(places) != len(self._spatial):
            return places
        return [
            variable if variable in self._where else place
            for variable, place in zip(self._spatial, places, strict=True)
        ]

    def _of_pack(self, places: list[Any], mutator: Any) -> list[Any] | None:
        """The indices of packed weights, whose blocks hold what lies twice in the output."""
        if self._packed_width is None:
            return None
        last, grouped = self._last, self._where[self._last].groups > 1
        if grouped and not mentions(places[0], last):
            return None  # data of a grouped convolution, whose channels are its group's
        lanes = [at for at, place in enumerate(places) if at and mentions(place, last)]
        if not lanes:
            return None
        moved = [mutator.mutate(place) for place in places]
        moved[0] = last // self._packed_width if grouped else places[0]
        moved[lanes[0]] = last % self._packed_width
        return moved
