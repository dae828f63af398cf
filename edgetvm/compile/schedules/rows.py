"""Softmax, norms, sums over the last axes: row after row, all stages of a row while it is in cache.

LLVM neither vectorises a float sum, whose order it must keep, nor a maximum. Here each lane of
several vectors has its own partial result; they are joined at the end of the row. The error of a
sum of n terms shrinks with it, from n roundings to n / lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.blocks import uses
from edgetvm.compile.schedules.stages import Axis, Stage, Update, loads_of, rewritten, update_of


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


def write_rows(group: RowGroup, shape: nests.Shape, memory: Mapping[Any, Any]) -> None:
    """Write the nest of a group.

    Args:
        group: the stages.
        shape: of the nest.
        memory: for each buffer that is read elsewhere the one that stands for it.
    """
    from tvm import tirx

    axes = [Axis(tirx.Var("row", "int64"), extent) for extent in group.extents]
    with (nests.parallel if shape.cores > 1 else nests.serial)(group.count) as number:
        index = nests.decomposed(number, axes)
        row = tuple(index[axis.variable] for axis in axes)
        _Row(group, shape, memory, Axis(number, group.count), row).write()


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
        shape: of the nest.
        memory: as for `write_rows`.
        number: the row's.
        index: the same for each of the group's row axes.
        places: for each buffer of this row alone, what gives an element of it.
    """

    group: RowGroup
    shape: nests.Shape
    memory: Mapping[Any, Any]
    number: Axis
    index: tuple[Any, ...]
    places: dict[Any, Callable[[Sequence[Any]], Any]] = field(default_factory=dict)

    def write(self) -> None:
        """All stages."""
        waiting: _Waiting | None = None
        for position, stage in enumerate(self.group.stages):
            later = self.group.stages[position + 1 :]
            if stage.reduction:
                self._reduce(stage, waiting)
                waiting = None
                continue
            target, offset = self._target(stage, later)
            if later and self._takes(later[0], stage):
                waiting = _Waiting(stage, target, offset)
            else:
                self._compute(stage, target, offset)
            if stage.buffers[0] not in self.memory:
                self.places[stage.buffers[0]] = _place(target, stage, self.group)

    def _takes(self, reduction: Stage, stage: Stage) -> bool:
        """Whether a reduction takes each element of a stage just when it is computed."""
        mine, others = self.group.inner(stage), self.group.inner(reduction)
        if not reduction.reduction or [a.extent for a in mine] != [a.extent for a in others]:
            return False
        taken = [one for one in _all_loads(reduction) if one.source.same_as(stage.buffers[0])]
        return bool(taken) and all(
            one.indices[stage.spatial.index(axis)].same_as(other.variable)
            for one in taken
            for axis, other in zip(mine, others, strict=True)
        )

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
        axes, here = self.group.inner(stage), self._here(stage)
        whole = self._flat(axes, expressions, here)
        if len(axes) < 2 or whole.vectors:
            yield whole
            return
        with ExitStack() as loops:
            outer = [
                Axis(loops.enter_context(nests.serial(axis.extent)), axis.extent)
                for axis in axes[:-1]
            ]
            for axis, loop in zip(axes, outer, strict=False):
                here[axis.variable] = loop.variable
            yield self._made(axes[-1], expressions, here, outer)

    def _made(
        self,
        last: Axis,
        expressions: Sequence[Any],
        here: Mapping[Any, Any],
        outer: Sequence[Axis],
    ) -> _Part:
        analyzer = nests.analyzer_of([self.number, *outer, last])

        def load(one: Any) -> Any:
            place = self.places.get(one.source)
            if place is not None:
                return place(one.indices)
            offset = analyzer.simplify(nests.offset_of(one))
            return nests.load_at(self.memory.get(one.source, one.source), offset)

        found = [rewritten(one, here, load) for one in expressions]
        found = [one if loads_of(one) else analyzer.simplify(one) for one in found]
        vectors = nests.stride(found, last) is not None
        return _Part(last, tuple(_multiplied(one, last) for one in found), vectors)

    def _compute(self, stage: Stage, target: Any, offset: Any) -> None:
        with self._part(stage, [*stage.values, offset]) as part:

            def write(index: Any) -> None:
                value, at = part.at(index)
                nests.store_at(target, value, at)

            for piece in nests.pieces(part.last.extent, self.shape.lanes if part.vectors else 1):
                nests.each(piece, write)

    def _target(self, stage: Stage, later: Sequence[Stage]) -> tuple[Any, Any]:
        """Where to put the elements of a stage, and each one's offset there."""
        (buffer,) = stage.buffers
        if buffer in self.memory:
            return self.memory[buffer], nests.place(buffer, stage)
        inner = self.group.inner(stage)
        if not inner:
            return nests.allocate(1, buffer.ty.dtype, "local"), nests.integer(0)
        final = _overwritten_by(stage, later, self.memory)
        if final is not None:
            return self.memory[final], nests.place(final, stage)
        size = math.prod(axis.extent for axis in inner)
        return nests.allocate(size, buffer.ty.dtype, "global"), nests.flattened(inner)

    def _reduce(self, stage: Stage, waiting: _Waiting | None) -> None:
        updates = [update_of(stage, position) for position in range(len(stage.buffers))]
        before = [] if waiting is None else self._moved(waiting, stage)
        extent = self._innermost(stage, before)
        lanes = min(self.shape.lanes, 1 << (extent.bit_length() - 1))
        vectors = max(1, min(self.shape.vectors, extent // lanes))
        sums = [
            _Partials(update, initial, nests.allocate(vectors * lanes, buffer.ty.dtype, "local"))
            for update, initial, buffer in zip(updates, stage.initial, stage.buffers, strict=True)
            if update is not None
        ]
        for one in sums:
            one.begin(vectors, lanes)
        with self._part(stage, [*before, *(one.update.term for one in sums)]) as part:

            def add(start: Any, vector: int, width: int) -> None:
                def write(lane: Any) -> None:
                    found = part.at(start + lane)
                    if waiting is not None:
                        nests.store_at(waiting.target, *found[:2])
                    for one, term in zip(sums, found[len(before) :], strict=True):
                        one.add(vector * lanes + lane, term)

                nests.vector(width, write)

            _spread(extent, lanes, vectors, add)
        for one, buffer in zip(sums, stage.buffers, strict=True):
            one.join_all(vectors, lanes)
            if buffer in self.memory:
                row = rewritten(nests.place(buffer, stage), self._here(stage))
                nests.store_at(self.memory[buffer], one.result, row)
            self.places[buffer] = one.element

    def _moved(self, waiting: _Waiting, stage: Stage) -> list[Any]:
        """The element that waits and its offset, in terms of the axes of a reduction."""
        axes = zip(self.group.inner(waiting.stage), self.group.inner(stage), strict=True)
        here = self._here(waiting.stage) | {mine.variable: other.variable for mine, other in axes}
        return [rewritten(one, here) for one in (*waiting.stage.values, waiting.offset)]

    def _innermost(self, stage: Stage, before: Sequence[Any]) -> int:
        """How far the innermost loop of a stage goes, which computes other expressions too."""
        axes = self.group.inner(stage)
        whole = self._flat(axes, [*before, *stage.values], self._here(stage))
        return whole.last.extent if len(axes) < 2 or whole.vectors else axes[-1].extent

    def _flat(
        self, axes: Sequence[Axis], expressions: Sequence[Any], here: Mapping[Any, Any]
    ) -> _Part:
        """All inner axes as one."""
        from tvm import tirx

        last = Axis(tirx.Var("at", "int64"), nests.count(axes))
        return self._made(last, expressions, {**here, **nests.decomposed(last.variable, axes)}, [])


@dataclass(frozen=True)
class _Waiting:
    """A stage whose elements are computed when the reduction after it takes them."""

    stage: Stage
    target: Any
    offset: Any


@dataclass(frozen=True)
class _Partials:
    """Partial results of a reduction, as many as a few vectors have lanes."""

    update: Update
    initial: Any
    buffer: Any

    def begin(self, vectors: int, lanes: int) -> None:
        for vector in range(vectors):
            start = nests.integer(vector * lanes)
            nests.vector_from(start, lanes, partial(nests.store_at, self.buffer, self.initial))

    def add(self, at: Any, term: Any) -> None:
        old = nests.load_at(self.buffer, at)
        nests.store_at(self.buffer, self.update.join(old, term), at)

    def join_all(self, vectors: int, lanes: int) -> None:
        """All into the first."""
        for vector in range(1, vectors):
            self._join(vector * lanes, lanes)
        while lanes > 1:
            lanes //= 2
            self._join(lanes, lanes)

    def _join(self, start: int, width: int) -> None:
        nests.vector(width, lambda lane: self.add(lane, nests.load_at(self.buffer, lane + start)))

    @property
    def result(self) -> Any:
        """The first."""
        return nests.load_at(self.buffer, nests.integer(0))

    def element(self, _: Sequence[Any]) -> Any:
        """The result, whatever the indices: a row has one."""
        return self.result


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


def _place(target: Any, stage: Stage, group: RowGroup) -> Callable[[Sequence[Any]], Any]:
    """What gives an element of a stage's buffer, which was put elsewhere."""
    inner = set(group.inner(stage))
    whole = len(target.ty.shape) > 1 or int(target.ty.shape[0]) == stage.work

    def element(indices: Sequence[Any]) -> Any:
        if len(target.ty.strides):
            return nests.load_at(target, nests.offset(target, indices))
        axes = [
            Axis(index, axis.extent)
            for index, axis in zip(indices, stage.spatial, strict=True)
            if whole or axis in inner
        ]
        return nests.load_at(target, nests.flattened(axes))

    return element


def _overwritten_by(stage: Stage, later: Sequence[Stage], kept: Mapping[Any, Any]) -> Any | None:
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

    def product(quotient: Any) -> Any:
        dtype, at = quotient.ty.dtype, last.variable
        if dtype != "float32" or uses(quotient.b, at) or not loads_of(quotient.b):
            return quotient
        one = tirx.const(1.0, dtype)
        return quotient.a * (one / quotient.b) if uses(quotient.a, at) else quotient

    return tvm_ffi.structural_map(value, (tirx.Div, product), order="post")
