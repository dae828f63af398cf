"""Sums, maxima and means for many neighbours at once: pooling and means of images, channels last.

One vector holds the partial results of as many neighbouring elements; terms come one after the
other, each read as a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.stages import Axis, Stage, Update, rewritten, update_of

# Vectors of results at once: a term waits for the one before it in the same vector only.
MOST_VECTORS = 8
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


def write_columns(group: ColumnGroup, lanes: int, kept: Sequence[Any], cores: int) -> None:
    """Write the nest of a group.

    Args:
        group: what it computes.
        lanes: of a vector.
        kept: buffers that are read elsewhere.
        cores: to share the work among.
    """
    stage = group.reduction
    first = vector_axes(stage)
    assert first is not None, "the caller asked"
    outer, inner = stage.long_axes[:first], stage.long_axes[first:]
    extent = math.prod(axis.extent for axis in inner)
    with nests.loops_over(outer, cores) as loops:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        here |= {
            axis.variable: nests.integer(0)
            for axis in (*stage.spatial, *stage.reduction)
            if axis.extent == 1
        }
        for piece in nests.pieces(extent, lanes):
            for block in _blocks(piece):
                column = _Column(group, here, inner, block.width // piece.width, piece.width, kept)
                nests.each_start_on(1 if outer else cores, block, column.write)


def _blocks(piece: nests.Piece) -> list[nests.Piece]:
    """A piece's vectors, several at once."""
    at_once = min(MOST_VECTORS, piece.count)
    whole, rest = divmod(piece.count, at_once)
    blocks = [nests.Piece(piece.start, whole, at_once * piece.width)]
    if rest:
        start = piece.start + whole * at_once * piece.width
        blocks.append(nests.Piece(start, 1, rest * piece.width))
    return blocks


def vector_axes(stage: Stage) -> int | None:
    """The first of the long axes that can be one vector with all behind it, if any can."""
    from tvm import tirx

    terms = [update.term for update in updates_of(stage) or ()]
    if not terms:
        return None
    for first in range(len(stage.long_axes)):
        outer, inner = stage.long_axes[:first], stage.long_axes[first:]
        flat = Axis(tirx.Var("at", "int64"), math.prod(axis.extent for axis in inner))
        here = nests.decomposed(flat.variable, inner)
        others = [*outer, *stage.reduction, *(a for a in stage.spatial if a.extent == 1)]
        moved = [rewritten(term, here) for term in terms]
        if nests.stride(moved, flat, others) == 1:
            return first
    return None


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
        inner: axes that the vectors lie along, as one.
        vectors: how many.
        lanes: of each.
        kept: as for `write_columns`.
    """

    group: ColumnGroup
    here: dict[Any, Any]
    inner: tuple[Axis, ...]
    vectors: int
    lanes: int
    kept: Sequence[Any]

    def write(self, start: Any) -> None:
        """The vectors from an index on."""
        stage = self.group.reduction
        sums = [
            nests.allocate([self.vectors * self.lanes], buffer.ty.dtype, "local")
            for buffer in stage.buffers
        ]
        for total, initial in zip(sums, stage.initial, strict=True):
            self._each(lambda at, total=total, initial=initial: nests.store(total, initial, [at]))
        updates = updates_of(stage) or []
        long = [axis for axis in stage.reduction if axis.extent > 1]
        unroll = math.prod(axis.extent for axis in long) <= _UNROLLED_TERMS
        with ExitStack() as loops:
            here = dict(self.here)
            for axis in long:
                frame = nests.unrolled if unroll else nests.serial
                here[axis.variable] = loops.enter_context(frame(axis.extent))
            for update, total, initial in zip(updates, sums, stage.initial, strict=True):
                self._add(update, total, initial, start, here)
        self._finish(sums, start)

    def _each(self, write: Callable[[Any], None]) -> None:
        for vector in range(self.vectors):
            nests.vector(self.lanes, lambda lane, at=vector * self.lanes: write(lane + at))

    def _add(
        self, update: Update, total: Any, initial: Any, start: Any, here: dict[Any, Any]
    ) -> None:
        term = rewritten(update.term, here)
        condition, term = _guarded(term, initial, self.inner)
        with nests.when(condition):

            def add(at: Any) -> None:
                one = rewritten(term, nests.decomposed(start + at, self.inner))
                nests.store(total, update.join(nests.load(total, [at]), one), [at])

            self._each(add)

    def _finish(self, sums: Sequence[Any], start: Any) -> None:
        stage = self.group.reduction

        def put(at: Any) -> None:
            index = nests.decomposed(start + at, self.inner)
            results = dict(zip(stage.buffers, sums, strict=True))
            for buffer, total in results.items():
                if buffer in self.kept:
                    place = [rewritten(a.variable, self.here | index) for a in stage.spatial]
                    nests.store(buffer, nests.load(total, [at]), place)
            for after in self.group.after:
                short = {a.variable: nests.integer(0) for a in after.spatial if a.extent == 1}
                same = {
                    mine.variable: (self.here | index)[other.variable]
                    for mine, other in zip(after.long_axes, stage.long_axes, strict=True)
                }

                def load(one: Any) -> Any:
                    total = results.get(one.source)
                    return one if total is None else nests.load(total, [at])

                value = rewritten(after.values[0], short | same, load)
                place = [(short | same)[axis.variable] for axis in after.spatial]
                nests.store(after.buffers[0], value, place)

        self._each(put)


def _guarded(term: Any, initial: Any, inner: Sequence[Axis]) -> tuple[Any | None, Any]:
    """A term that is only there under a condition on other axes: the condition and the term.

    What stands for it elsewhere must change nothing, as 0 in a sum does.
    """
    import tvm_ffi
    from tvm import ir, tirx

    if not isinstance(term, ir.Call) or not isinstance(term.op, ir.Op):
        return None, term
    if term.op.name != "tirx.if_then_else":
        return None, term
    condition, there, absent = term.args
    used = tirx.analysis.undefined_vars(condition)
    if any(variable.same_as(axis.variable) for variable in used for axis in inner):
        return None, term
    return (condition, there) if tvm_ffi.structural_equal(absent, initial) else (None, term)
