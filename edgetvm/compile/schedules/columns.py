"""Sums, maxima and means for many neighbours at once: pooling and means of images, channels last.

One vector holds the partial results of as many neighbouring elements; terms come one after the
other, each read as a vector.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.stages import (
    Axis,
    Stage,
    Update,
    is_conditional,
    rewritten,
    update_of,
)

# Terms that are written out one after the other.
_UNROLLED_TERMS = 16


@dataclass(frozen=True)
class ColumnGroup:
    """A reduction along axes other than the innermost, and what follows it.

    Attributes:
        reduction: the stage.
        after: stages of the same shape that read of it and of each other only their own element.
    """

    reduction: Stage
    after: tuple[Stage, ...]


def write_columns(group: ColumnGroup, shape: nests.Shape, memory: Mapping[Any, Any]) -> None:
    """Write the nest of a group.

    Args:
        group: what it computes.
        shape: of the nest.
        memory: for each buffer that is read elsewhere the one that stands for it.
    """
    stage = group.reduction
    first = vector_axes(stage, group.after) or 0
    outer, inner = stage.long_axes[:first], stage.long_axes[first:]
    extent = math.prod(axis.extent for axis in inner)
    with nests.loops_over(outer, shape.cores) as loops:
        here = _short(stage)
        here |= {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        for piece in nests.pieces(extent, shape.lanes):
            for block in _blocks(piece, shape.vectors):
                vectors = block.width // piece.width
                column = _Column(group, here, first, vectors, piece.width, memory)
                nests.each_start_on(1 if outer else shape.cores, block, column.write)


def _short(stage: Stage) -> dict[Any, Any]:
    return {
        axis.variable: nests.integer(0)
        for axis in (*stage.spatial, *stage.reduction)
        if axis.extent == 1
    }


def _blocks(piece: nests.Piece, most: int) -> list[nests.Piece]:
    """A piece's vectors, several at once."""
    at_once = min(most, piece.count)
    whole, rest = divmod(piece.count, at_once)
    blocks = [nests.Piece(piece.start, whole, at_once * piece.width)]
    if rest:
        start = piece.start + whole * at_once * piece.width
        blocks.append(nests.Piece(start, 1, rest * piece.width))
    return blocks


def vector_axes(stage: Stage, after: Sequence[Stage] = ()) -> int | None:
    """The first of the long axes that can be one vector with all behind it, if any can.

    Args:
        stage: that reduces.
        after: stages that take its results, of the same shape.
    """
    terms = [update.term for update in updates_of(stage) or ()]
    for first in range(len(stage.long_axes)) if terms else ():
        flat, moved = _along(stage, first, terms, {})
        if nests.stride(moved, flat) == 1 and all(_goes_on(one, first) for one in (stage, *after)):
            return first
    return None


def _goes_on(stage: Stage, first: int) -> bool:
    """Whether results lie without gaps along the long axes from one on."""
    steps = [
        (int(step), axis.extent)
        for buffer in stage.buffers
        for step, axis in zip(buffer.ty.strides, stage.spatial, strict=False)
        if axis in stage.long_axes[first:]
    ]
    return all(step == other * size for (step, _), (other, size) in itertools.pairwise(steps))


def _along(
    stage: Stage, first: int, terms: Sequence[Any], memory: Mapping[Any, Any]
) -> tuple[Axis, list[Any]]:
    """Terms of a reduction with all axes from one on as one."""
    from tvm import tirx

    outer, inner = stage.long_axes[:first], stage.long_axes[first:]
    flat = Axis(tirx.Var("at", "int64"), math.prod(axis.extent for axis in inner))
    here = _short(stage) | nests.decomposed(flat.variable, inner)
    axes = [*outer, flat, *stage.reduction]
    return flat, [nests.linear(rewritten(term, here), axes, memory) for term in terms]


def updates_of(stage: Stage) -> list[Update] | None:
    """The updates of all buffers of a reduction, or None where one is of another kind."""
    updates = [update_of(stage, position) for position in range(len(stage.buffers))]
    return None if None in updates else [update for update in updates if update is not None]


@dataclass(frozen=True)
class _Column:
    """Writes the loops of a few vectors of results.

    Attributes:
        group: what is computed.
        here: indices of the axes around.
        first: the first of the long axes that the vectors lie along.
        vectors: how many.
        lanes: of each.
        memory: as for `write_columns`.
    """

    group: ColumnGroup
    here: dict[Any, Any]
    first: int
    vectors: int
    lanes: int
    memory: Mapping[Any, Any]

    def write(self, start: Any) -> None:
        """The vectors from an index on."""
        stage = self.group.reduction
        updates = updates_of(stage) or []
        flat, terms = _along(stage, self.first, [one.term for one in updates], self.memory)
        size = self.vectors * self.lanes
        sums = [nests.allocate(size, buffer.ty.dtype, "local") for buffer in stage.buffers]
        for total, initial in zip(sums, stage.initial, strict=True):
            self._each(partial(nests.store_at, total, initial))
        long = [axis for axis in stage.reduction if axis.extent > 1]
        unroll = math.prod(axis.extent for axis in long) <= _UNROLLED_TERMS
        with ExitStack() as loops:
            here = dict(self.here)
            for axis in long:
                frame = nests.unrolled if unroll else nests.serial
                here[axis.variable] = loops.enter_context(frame(axis.extent))
            for update, term, total, initial in zip(
                updates, terms, sums, stage.initial, strict=True
            ):
                condition, there = _guarded(rewritten(term, here), initial, flat)

                def add(
                    at: Any, update: Update = update, there: Any = there, to: Any = total
                ) -> None:
                    new = rewritten(there, {flat.variable: start + at})
                    nests.store_at(to, update.join(nests.load_at(to, at), new), at)

                with nests.when(condition):
                    self._each(add)
        self._finish(sums, start)

    def _each(self, write: Callable[[Any], None]) -> None:
        """All elements; `write` is given each one's index among them."""
        for number in range(self.vectors):
            nests.vector_from(nests.integer(number * self.lanes), self.lanes, write)

    def _finish(self, sums: Sequence[Any], start: Any) -> None:
        """Store the results, or what follows from them."""
        stage = self.group.reduction
        results = dict(zip(stage.buffers, sums, strict=True))
        for buffer in stage.buffers:
            if buffer in self.memory:
                self._put(stage, buffer, results, start, results[buffer])
        for after in self.group.after:
            self._put(after, after.buffers[0], results, start, None)

    def _put(
        self, stage: Stage, buffer: Any, results: Mapping[Any, Any], start: Any, total: Any | None
    ) -> None:
        from tvm import tirx

        axes = stage.long_axes
        outer, inner = axes[: self.first], axes[self.first :]
        flat = Axis(tirx.Var("at", "int64"), math.prod(axis.extent for axis in inner))
        index = _short(stage) | nests.decomposed(flat.variable, inner)
        around = [self.here[axis.variable] for axis in self.group.reduction.long_axes[: self.first]]
        fixed = dict(zip((axis.variable for axis in outer), around, strict=True))
        analyzer = nests.analyzer_of([*outer, flat])
        offset = analyzer.simplify(rewritten(nests.place(buffer, stage), index))
        lane = tirx.Var("lane", "int64")

        def load(one: Any) -> Any:
            own = results.get(one.source)
            return one if own is None else nests.load_at(own, lane)

        if total is None:
            value = rewritten(stage.values[0], index)
            value = rewritten(nests.linear(value, [*outer, flat], self.memory), {}, load)
        else:
            value = nests.load_at(total, lane)
        target = self.memory.get(buffer, buffer)

        def put(at: Any) -> None:
            here = fixed | {flat.variable: start + at, lane: at}
            nests.store_at(target, rewritten(value, here), rewritten(offset, here))

        self._each(put)


def _guarded(term: Any, initial: Any, flat: Axis) -> tuple[Any | None, Any]:
    """A term that is only there under a condition on other axes: the condition and the term.

    What stands for it elsewhere must change nothing, as 0 in a sum does.
    """
    import tvm_ffi
    from tvm import tirx

    if not is_conditional(term):
        return None, term
    condition, there, absent = term.args
    used = tirx.analysis.undefined_vars(condition)
    if any(variable.same_as(flat.variable) for variable in used):
        return None, term
    return (condition, there) if tvm_ffi.structural_equal(absent, initial) else (None, term)
