"""Stages whose elements are independent: copies, element-wise chains, resizing, gathering, padding.

The innermost loop is one vector along as many of the last axes as are read without a step. A
condition that holds in part of an axis (padding, concatenation) is no condition any more: each part
gets loops of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.stages import Axis, Stage, rewritten

# Parts that conditions may cut a stage into; beyond that, code grows for little.
_MOST_PARTS = 128


@dataclass(frozen=True)
class Elements:
    """Elements of a buffer and how they are computed.

    Attributes:
        axes: loops, the last innermost.
        buffer: where they go.
        indices: where in it, in terms of the axes.
        value: in terms of the axes.
    """

    axes: tuple[Axis, ...]
    buffer: Any
    indices: tuple[Any, ...]
    value: Any

    @property
    def count(self) -> int:
        """How many they are."""
        return math.prod(axis.extent for axis in self.axes)

    def at(self, indices: dict[Any, Any]) -> tuple[Any, list[Any]]:
        """One element: its value and where it goes."""
        value, *places = (rewritten(one, indices) for one in (self.value, *self.indices))
        return value, places


def elements_of(stage: Stage) -> Elements:
    """All elements of a stage that is no reduction."""
    here = {axis.variable: nests.integer(0) for axis in stage.spatial if axis.extent == 1}
    return Elements(
        stage.long_axes,
        stage.buffers[0],
        tuple(rewritten(axis.variable, here) for axis in stage.spatial),
        rewritten(stage.values[0], here),
    )


def write_elements(elements: Elements, lanes: int, cores: int) -> None:
    """Write the nest of a stage.

    Args:
        elements: what it computes.
        lanes: of a vector.
        cores: to share the work among.
    """
    parts = parts_of(elements)
    # Loops outside the first axis that is cut go around all parts.
    shared = next(
        (at for at, axis in enumerate(elements.axes) if any(part.axes[at] != axis for part in parts)),
        0,
    )
    with nests.loops_over(elements.axes[:shared], cores) as around:
        for part in parts:
            here = {
                axis.variable: loop.variable
                for axis, loop in zip(part.axes, around, strict=False)
            }
            value, places = part.at(here)
            inner = Elements(part.axes[shared:], part.buffer, tuple(places), value)
            _write_part(inner, lanes, 1 if shared else cores, around)


def _write_part(elements: Elements, lanes: int, cores: int, around: Sequence[Axis]) -> None:
    from tvm import tirx

    for first in range(len(elements.axes) + 1):
        outer, inner = elements.axes[:first], elements.axes[first:]
        flat = Axis(tirx.Var("at", "int64"), math.prod(axis.extent for axis in inner))
        value, places = elements.at(nests.decomposed(flat.variable, inner))
        if nests.stride([value], flat, [*outer, *around]) is not None:
            break
    else:
        raise AssertionError  # without axes nothing moves
    with nests.loops_over(outer, cores) as loops:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}

        def write(index: Any) -> None:
            one, *where = (
                rewritten(part, here | {flat.variable: index}) for part in (value, *places)
            )
            nests.store(elements.buffer, one, where)

        for piece in nests.pieces(flat.extent, lanes):
            nests.each_on(1 if outer else cores, piece, write)


def parts_of(elements: Elements) -> list[Elements]:
    """The elements cut where conditions on their axes change."""
    cuts = _cuts(elements)
    ranges = [
        list(itertools.pairwise(sorted({0, *cuts[at], axis.extent})))
        for at, axis in enumerate(elements.axes)
    ]
    if math.prod(len(one) for one in ranges) > _MOST_PARTS:
        return [elements]
    return [_part(elements, box) for box in itertools.product(*ranges)]


def _part(elements: Elements, box: Sequence[tuple[int, int]]) -> Elements:
    from tvm import tirx

    axes, here = [], {}
    for axis, (start, stop) in zip(elements.axes, box, strict=True):
        if stop - start == axis.extent:
            axes.append(axis)
            continue
        variable = tirx.Var(axis.variable.name, "int64")
        here[axis.variable] = variable + start
        axes.append(Axis(variable, stop - start))
    value, places = elements.at(here) if here else (elements.value, list(elements.indices))
    return Elements(tuple(axes), elements.buffer, tuple(places), _decided(value, axes))


def _decided(value: Any, axes: Sequence[Axis]) -> Any:
    """An expression without the conditions that are the same for all elements."""
    import tvm_ffi
    from tvm import ir, tirx

    analyzer = nests.analyzer_of(axes)

    def chosen(condition: Any, yes: Any, no: Any, otherwise: Any) -> Any:
        known = analyzer.simplify(condition)
        if isinstance(known, tirx.IntImm):
            return yes if int(known) else no
        return otherwise

    def call(one: Any) -> Any:
        if isinstance(one.op, ir.Op) and one.op.name == "tirx.if_then_else":
            return chosen(*one.args, one)
        return one

    def select(one: Any) -> Any:
        return chosen(one.condition, one.true_value, one.false_value, one)

    return tvm_ffi.structural_map(value, [(ir.Call, call), (tirx.Select, select)], order="post")


def _cuts(elements: Elements) -> list[set[int]]:
    """For each axis, where a comparison changes that depends on it alone."""
    import tvm_ffi
    from tvm import tirx

    variables = [axis.variable for axis in elements.axes]
    cuts: list[set[int]] = [set() for _ in variables]
    kinds = (tirx.LT, tirx.LE, tirx.GT, tirx.GE)

    def look(comparison: Any) -> None:
        found = _change(comparison, variables)
        if found is not None and 0 < found[1] < elements.axes[found[0]].extent:
            cuts[found[0]].add(found[1])

    tvm_ffi.structural_walk(elements.value, (kinds, look), order="pre")
    return cuts


def _change(comparison: Any, variables: Sequence[Any]) -> tuple[int, int] | None:
    """The axis and its first index at which a comparison of numbers has another outcome."""
    from tvm import sym, tirx

    if not str(comparison.a.ty.dtype).startswith("int"):
        return None
    parts = sym.detect_linear_equation(comparison.a - comparison.b, list(variables))
    if len(parts) == 0 or not all(nests.is_constant(part) for part in parts):
        return None
    *factors, rest = (int(part) for part in parts)
    moving = [at for at, factor in enumerate(factors) if factor]
    if len(moving) != 1:
        return None
    # factor x + rest < 0, or <= 0; the other two comparisons have the outcomes reversed.
    factor = factors[moving[0]]
    inclusive = isinstance(comparison, (tirx.LE, tirx.GT)) == (factor > 0)
    if factor < 0:
        factor, rest = -factor, -rest
    quotient, left = divmod(-rest, factor)
    return moving[0], quotient + 1 if inclusive or left else quotient
