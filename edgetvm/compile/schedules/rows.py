"""Softmax, norms, sums over the last axes: row after row, all stages of a row while it is in cache.

LLVM neither vectorises a float sum, whose order it must keep, nor a maximum. Here each lane of
several vectors has its own partial result; they are joined at the end of the row. The error of a
sum of n terms shrinks with it, from n roundings to n / lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.stages import Axis, Stage, Update, loads_of, rewritten, update_of

# Vectors of partial results: an addition takes about four cycles, and each cycle can begin one.
PARTIAL_VECTORS = 4


@dataclass(frozen=True)
class RowGroup:
    """Stages that compute whole rows, each reading of the others only what its own row has.

    Attributes:
        extents: of the axes along which rows lie.
        stages: in order.
    """

    extents: tuple[int, ...]
    stages: tuple[Stage, ...]

    @property
    def count(self) -> int:
        """Rows."""
        return math.prod(self.extents)

    def inner(self, stage: Stage) -> tuple[Axis, ...]:
        """Axes of a stage within a row."""
        if stage.reduction:
            return tuple(axis for axis in stage.reduction if axis.extent > 1)
        return stage.long_axes[len(self.extents) :]


def write_rows(group: RowGroup, lanes: int, kept: Sequence[Any], on_all_cores: bool) -> None:
    """Write the nest of a group.

    Args:
        group: the stages.
        lanes: of a vector.
        kept: buffers that are read elsewhere.
        on_all_cores: rows in parallel.
    """
    from tvm import tirx

    axes = [Axis(tirx.Var("row", "int64"), extent) for extent in group.extents]
    with (nests.parallel if on_all_cores else nests.serial)(group.count) as number:
        index = nests.decomposed(number, axes)
        row = tuple(index[axis.variable] for axis in axes)
        _Row(group, lanes, kept, Axis(number, group.count), row).write()


@dataclass(frozen=True)
class _Part:
    """The elements of a stage within a row, as the innermost loop sees them.

    Attributes:
        last: the innermost axis.
        expressions: in its variable.
        vectors: whether they can be vectors.
    """

    last: Axis
    expressions: tuple[Any, ...]
    vectors: bool

    def at(self, index: Any) -> list[Any]:
        """The expressions at an index of the innermost axis."""
        return [rewritten(one, {self.last.variable: index}) for one in self.expressions]


@dataclass
class _Row:
    """Writes one row.

    Attributes:
        group: its stages.
        lanes: of a vector.
        kept: as for `write_rows`.
        number: the row's.
        index: the same for each of the group's row axes.
        places: for each buffer of this row alone, what gives an element of it.
    """

    group: RowGroup
    lanes: int
    kept: Sequence[Any]
    number: Axis
    index: tuple[Any, ...]
    places: dict[Any, Callable[[Sequence[Any]], Any]] = field(default_factory=dict)

    def write(self) -> None:
        """All stages."""
        for position, stage in enumerate(self.group.stages):
            if stage.reduction:
                self._reduce(stage)
            else:
                self._compute(stage, self.group.stages[position + 1 :])

    def _here(self, stage: Stage) -> dict[Any, Any]:
        """What the stage's axes outside the row are."""
        short = {
            axis.variable: nests.integer(0)
            for axis in (*stage.spatial, *stage.reduction)
            if axis.extent == 1
        }
        row = zip((axis.variable for axis in stage.long_axes), self.index, strict=False)
        return short | dict(row)

    @contextmanager
    def _part(self, stage: Stage, expressions: Sequence[Any]) -> Iterator[_Part]:
        """The loops around the innermost one: none, if all inner axes can be one."""
        from tvm import tirx

        axes, here = self.group.inner(stage), self._here(stage)
        last = Axis(tirx.Var("at", "int64"), math.prod(axis.extent for axis in axes))
        whole = self._rewritten(expressions, here | nests.decomposed(last.variable, axes))
        if len(axes) < 2 or nests.stride(whole, last, [self.number]) is not None:
            yield self._made(last, whole, [])
            return
        with ExitStack() as loops:
            outer = [
                Axis(loops.enter_context(nests.serial(axis.extent)), axis.extent)
                for axis in axes[:-1]
            ]
            for axis, loop in zip(axes, outer, strict=False):
                here[axis.variable] = loop.variable
            yield self._made(axes[-1], self._rewritten(expressions, here), outer)

    def _made(self, last: Axis, expressions: Sequence[Any], outer: Sequence[Axis]) -> _Part:
        vectors = nests.stride(expressions, last, [self.number, *outer]) is not None
        return _Part(last, tuple(_multiplied(one, last) for one in expressions), vectors)

    def _rewritten(self, expressions: Sequence[Any], here: dict[Any, Any]) -> list[Any]:
        def load(one: Any) -> Any:
            place = self.places.get(one.source)
            return one if place is None else place(one.indices)

        return [rewritten(one, here, load) for one in expressions]

    def _compute(self, stage: Stage, later: Sequence[Stage]) -> None:
        (buffer,) = stage.buffers
        target, indices = self._target(stage, later)
        with self._part(stage, [*stage.values, *indices]) as part:

            def write(index: Any) -> None:
                value, *at = part.at(index)
                nests.store(target, value, at)

            for piece in nests.pieces(part.last.extent, self.lanes if part.vectors else 1):
                nests.each(piece, write)
        if target is not buffer:
            self.places[buffer] = _place(target, len(indices), stage, len(self.group.extents))

    def _target(self, stage: Stage, later: Sequence[Stage]) -> tuple[Any, list[Any]]:
        """Where to put the elements of a stage, and each one's indices there."""
        (buffer,) = stage.buffers
        axes = [axis.variable for axis in stage.spatial]
        if buffer in self.kept:
            return buffer, axes
        inner = self.group.inner(stage)
        if not inner:
            return nests.allocate([1], buffer.ty.dtype, "local"), [nests.integer(0)]
        final = _overwritten_by(stage, later, self.kept)
        if final is not None:
            return final, axes
        size = math.prod(axis.extent for axis in inner)
        return nests.allocate([size], buffer.ty.dtype, "global"), [nests.flattened(inner)]

    def _reduce(self, stage: Stage) -> None:
        updates = [update_of(stage, position) for position in range(len(stage.buffers))]
        extent = self._last_extent(stage)
        lanes = min(self.lanes, 1 << (extent.bit_length() - 1))
        vectors = max(1, min(PARTIAL_VECTORS, extent // lanes))
        sums = [
            _Partials(update, initial, nests.allocate([vectors * lanes], buffer.ty.dtype, "local"))
            for update, initial, buffer in zip(updates, stage.initial, stage.buffers, strict=True)
            if update is not None
        ]
        for one in sums:
            one.begin(vectors, lanes)
        with self._part(stage, [one.update.term for one in sums]) as part:

            def add(start: Any, vector: int, width: int) -> None:
                def write(lane: Any) -> None:
                    for one, term in zip(sums, part.at(start + lane), strict=True):
                        one.add(vector * lanes + lane, term)

                nests.vector(width, write)

            _spread(extent, lanes, vectors, add)
        for one, buffer in zip(sums, stage.buffers, strict=True):
            one.join_all(vectors, lanes)
            if buffer in self.kept:
                at = [self._here(stage)[axis.variable] for axis in stage.spatial]
                nests.store(buffer, one.result, at)
            self.places[buffer] = lambda _, one=one: one.result

    def _last_extent(self, stage: Stage) -> int:
        with self._part(stage, stage.values) as part:
            return part.last.extent


@dataclass(frozen=True)
class _Partials:
    """Partial results of a reduction, as many as a few vectors have lanes."""

    update: Update
    initial: Any
    buffer: Any

    def begin(self, vectors: int, lanes: int) -> None:
        for vector in range(vectors):
            nests.vector(
                lanes,
                lambda lane, at=vector * lanes: nests.store(
                    self.buffer, self.initial, [lane + at]
                ),
            )

    def add(self, at: Any, term: Any) -> None:
        old = nests.load(self.buffer, [at])
        nests.store(self.buffer, self.update.join(old, term), [at])

    def join_all(self, vectors: int, lanes: int) -> None:
        """All into the first."""
        for vector in range(1, vectors):
            self._join(vector * lanes, lanes)
        while lanes > 1:
            lanes //= 2
            self._join(lanes, lanes)

    def _join(self, start: int, width: int) -> None:
        nests.vector(
            width, lambda lane: self.add(lane, nests.load(self.buffer, [lane + start]))
        )

    @property
    def result(self) -> Any:
        return nests.load(self.buffer, [nests.integer(0)])


def _spread(extent: int, lanes: int, vectors: int, add: Callable[[Any, int, int], None]) -> None:
    """Share a loop out to several vectors; `add` takes an index, a vector's number, and lanes."""
    at_once = vectors * lanes
    whole = extent // at_once
    if whole > 1:
        with nests.serial(whole) as block:
            for vector in range(vectors):
                add(block * at_once + vector * lanes, vector, lanes)
    done = whole * at_once if whole > 1 else 0
    for number, piece in enumerate(nests.pieces(extent - done, lanes)):
        for index in range(piece.count):
            start = done + piece.start + index * piece.width
            add(nests.integer(start), index % vectors if number == 0 else 0, piece.width)


def _place(
    target: Any, rank: int, stage: Stage, row_axes: int
) -> Callable[[Sequence[Any]], Any]:
    """What gives an element of a stage's buffer, which was put elsewhere."""
    inner = list(stage.long_axes[row_axes:])
    positions = [stage.spatial.index(axis) for axis in inner]

    def element(indices: Sequence[Any]) -> Any:
        if rank == len(stage.spatial) and rank > 1:
            return nests.load(target, indices)
        moved = [Axis(indices[at], stage.spatial[at].extent) for at in positions]
        return nests.load(target, [nests.flattened(moved)])

    return element


def _overwritten_by(stage: Stage, later: Sequence[Stage], kept: Sequence[Any]) -> Any | None:
    """A buffer of the results in whose place the stage's elements may lie until then.

    That is one whose every element is computed from the same element of the stage, and nothing
    after it reads the stage.
    """
    (buffer,) = stage.buffers
    readers = [
        other for other in later if any(one.source.same_as(buffer) for one in _all_loads(other))
    ]
    last = readers[-1] if readers else None
    if last is None or last.reduction or last.buffers[0] not in kept:
        return None
    mine, other = stage.spatial, last.spatial
    if [axis.extent for axis in mine] != [axis.extent for axis in other]:
        return None
    if last.buffers[0].ty.dtype != buffer.ty.dtype:
        return None
    same = all(
        all(
            index.same_as(axis.variable) or axis.extent == 1
            for index, axis in zip(one.indices, other, strict=True)
        )
        for one in _all_loads(last)
        if one.source.same_as(buffer)
    )
    return last.buffers[0] if same else None


def _all_loads(stage: Stage) -> list[Any]:
    return [one for value in stage.values for one in loads_of(value)]


def _multiplied(value: Any, last: Axis) -> Any:
    """Quotients by what is the same all along the row as products with its inverse."""
    import tvm_ffi
    from tvm import tirx

    def uses_last(expression: Any) -> bool:
        return any(found.same_as(last.variable) for found in tirx.analysis.undefined_vars(expression))

    def product(quotient: Any) -> Any:
        dtype = quotient.ty.dtype
        if dtype != "float32" or uses_last(quotient.b) or not loads_of(quotient.b):
            return quotient
        return quotient.a * (tirx.const(1.0, dtype) / quotient.b) if uses_last(quotient.a) else quotient

    return tvm_ffi.structural_map(value, (tirx.Div, product), order="post")
