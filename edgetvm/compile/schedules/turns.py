"""Transposes: what is read along one axis is written along another.

A square of vectors is read, turned in registers and written, so that both sides see whole vectors.
Turning n vectors of n lanes takes log2(n) rounds of n shuffles (Eklundh, "A Fast Computer Method
for Matrix Transposing", 1972).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.elements import Elements
from edgetvm.compile.schedules.stages import loads_of, rewritten

# Below, a square is no better than single elements.
_LEAST_SIDE = 4
# More vectors than that do not stay in registers together with what they are turned into.
_MOST_SIDE = 16


@dataclass(frozen=True)
class Turn:
    """Elements whose loads go on along another axis than the innermost.

    Attributes:
        elements: the loads `linear`.
        along: the position of that axis.
        loads: those that do, each once.
    """

    elements: Elements
    along: int
    loads: tuple[Any, ...]


def turn_of(elements: Elements) -> Turn | None:
    """How elements are turned, or None where they are not, or in more ways than one.

    Args:
        elements: the loads `linear`.
    """
    import tvm_ffi

    axes = [axis.variable for axis in elements.axes]
    if len(axes) < 2:
        return None
    turned: list[Any] = []
    ways: set[int] = set()
    for one in loads_of(elements.value):
        factors = nests.factors_of(one, axes)
        if factors is None:
            return None
        if factors[-1] in (0, 1):
            continue
        if 1 not in factors:
            return None
        ways.add(factors.index(1))
        if not any(tvm_ffi.structural_equal(one, other) for other in turned):
            turned.append(one)
    if len(ways) != 1:
        return None
    (along,) = ways
    sides = (elements.axes[along].extent, elements.axes[-1].extent)
    if min(sides) < _LEAST_SIDE:
        return None
    return Turn(elements, along, tuple(turned))


def write_turn(turn: Turn, lanes: int, cores: int, buffer: Any) -> None:
    """Write the nest.

    Args:
        turn: what it computes.
        lanes: of a vector.
        cores: to share the work among.
        buffer: where it goes.
    """
    axes = turn.elements.axes
    outer = [axis for at, axis in enumerate(axes) if at not in (turn.along, len(axes) - 1)]
    side = min(lanes, _MOST_SIDE)
    shared = cores if nests.count(outer) < 2 * cores else 1
    with nests.loops_over(outer, 1 if shared > 1 else cores) as loops:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        for high in nests.pieces(axes[turn.along].extent, side):

            def across(row: Any, high: int = high.width) -> None:
                for wide in nests.pieces(axes[-1].extent, side):
                    write = partial(_squares, turn, here, buffer, row, high, wide.width)
                    nests.each_start_on(1, wide, write)

            nests.each_start_on(shared, high, across)


def _squares(
    turn: Turn, here: Mapping[Any, Any], buffer: Any, row: Any, high: int, wide: int, column: Any
) -> None:
    side = min(high, wide)
    for down in range(0, high, side):
        for right in range(0, wide, side):
            _square(turn, here, row + down, column + right, side, buffer)


def _square(
    turn: Turn, here: Mapping[Any, Any], row: Any, column: Any, side: int, buffer: Any
) -> None:
    """Elements from `row` on along the axis that is read, from `column` on along the other."""
    elements = turn.elements
    read, written = elements.axes[turn.along].variable, elements.axes[-1].variable
    if side == 1:
        value, offset = elements.at({**here, read: row, written: column})
        nests.store_at(buffer, value, offset)
        return
    squares = []
    for one in turn.loads:
        vectors = []
        for lane in range(side):
            first = rewritten(one.indices[-1], {**here, read: row, written: column + lane})
            vectors.append(nests.bound(nests.vector_at(one.source, first, side)))
        square = nests.allocate(side * side, one.ty.dtype, "local")
        for number, vector in enumerate(turned(vectors)):
            nests.store_vector(square, vector, nests.integer(number * side), side)
        squares.append(square)
    for number in range(side):

        def write(lane: Any, number: int = number) -> None:
            value = _with_squares(turn, squares, number * side + lane)
            at = {**here, read: row + number, written: column + lane}
            nests.store_at(buffer, rewritten(value, at), rewritten(elements.offset, at))

        nests.vector(side, write)


def _with_squares(turn: Turn, squares: Sequence[Any], at: Any) -> Any:
    import tvm_ffi

    def load(one: Any) -> Any:
        for other, square in zip(turn.loads, squares, strict=True):
            if tvm_ffi.structural_equal(one, other):
                return nests.load_at(square, at)
        return one

    return rewritten(turn.elements.value, {}, load)


def turned(vectors: Sequence[Any]) -> list[Any]:
    """The columns of a square whose rows are these vectors; as many as each has lanes."""
    from tvm import tirx

    side, rows = len(vectors), list(vectors)
    step = side // 2
    while step:
        for low in range(side):
            if low & step:
                continue
            high = low + step
            pair = [rows[low], rows[high]]
            first = [lane if not lane & step else side + lane - step for lane in range(side)]
            second = [lane + step if not lane & step else side + lane for lane in range(side)]
            rows[low], rows[high] = (
                nests.bound(tirx.Shuffle(pair, [tirx.IntImm("int32", lane) for lane in order]))
                for order in (first, second)
            )
        step //= 2
    return rows
