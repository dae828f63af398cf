"""Stages whose elements are independent: copies, element-wise chains, resizing, gathering, padding.

The innermost loop is one vector along as many of the last axes as are read without a step. A
condition that holds in part of an axis (padding, concatenation) is no condition any more: each part
gets loops of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.blocks import uses
from edgetvm.compile.schedules.stages import Axis, Stage, loads_of, rewritten

# Parts that conditions may cut a stage into; beyond that, code grows for little.
_MOST_PARTS = 128


@dataclass(frozen=True)
class Elements:
    """Elements of a buffer and how they are computed.

    Attributes:
        axes: loops, the last innermost.
        buffer: where they go.
        offset: where in it, in terms of the axes.
        value: in terms of the axes.
    """

    axes: tuple[Axis, ...]
    buffer: Any
    offset: Any
    value: Any

    @property
    def count(self) -> int:
        """How many they are."""
        return math.prod(axis.extent for axis in self.axes)

    def at(self, indices: Mapping[Any, Any]) -> tuple[Any, Any]:
        """One element: its value and its offset."""
        return rewritten(self.value, indices), rewritten(self.offset, indices)


def elements_of(stage: Stage) -> Elements:
    """All elements of a stage that is no reduction."""
    here = {axis.variable: nests.integer(0) for axis in stage.spatial if axis.extent == 1}
    elements = Elements(
        stage.long_axes,
        stage.buffers[0],
        rewritten(nests.flattened(stage.spatial), here),
        _with_simple_numbers(rewritten(stage.values[0], here), stage.long_axes),
    )
    for axis in stage.long_axes:
        elements = _without_period(elements, axis)
    return elements


def _without_period(elements: Elements, axis: Axis) -> Elements:
    """The same with an axis in two where indices repeat along it.

    LLVM took `x[i % 8]` for 16 elements in a row.
    """
    import tvm_ffi
    from tvm import tirx

    found: set[int] = set()

    def look(node: Any) -> None:
        if nests.is_constant(node.b) and uses(node.a, axis.variable):
            found.add(int(node.b))

    kinds = (tirx.FloorMod, tirx.FloorDiv)
    tvm_ffi.structural_walk(elements.value, (kinds, look), order="pre")
    periods = [size for size in found if 1 < size < axis.extent and axis.extent % size == 0]
    if not periods:
        return elements
    size = min(periods)
    around = Axis(tirx.Var("around", "int64"), axis.extent // size)
    within = Axis(tirx.Var("within", "int64"), size)
    index = around.variable * size + within.variable
    value, offset = elements.at({axis.variable: index})
    at = elements.axes.index(axis)
    axes = (*elements.axes[:at], around, within, *elements.axes[at + 1 :])
    return Elements(axes, elements.buffer, offset, _with_simple_numbers(value, axes))


def _with_simple_numbers(value: Any, axes: Sequence[Axis]) -> Any:
    """An expression with its indices and comparisons of numbers simplified."""
    import tvm_ffi
    from tvm import tirx

    analyzer = nests.analyzer_of(axes)

    def simple(node: Any) -> Any:
        whole = str(node.a.ty.dtype).startswith("int")
        return analyzer.simplify(node) if whole and not loads_of(node) else node

    kinds = (tirx.FloorMod, tirx.FloorDiv, tirx.LT, tirx.LE, tirx.GT, tirx.GE)
    return tvm_ffi.structural_map(value, (kinds, simple), order="post")


def write_elements(elements: Elements, lanes: int, cores: int, memory: Mapping[Any, Any]) -> None:
    """Write the nest of a stage.

    Args:
        elements: what it computes.
        lanes: of a vector.
        cores: to share the work among.
        memory: for a buffer the one that stands for it.
    """
    parts = parts_of(elements)
    # Loops outside the first axis that is cut go around all parts.
    shared = next(
        (
            at
            for at, axis in enumerate(elements.axes)
            if any(part.axes[at] != axis for part in parts)
        ),
        0,
    )
    with nests.loops_over(elements.axes[:shared], cores) as around:
        for part in parts:
            here = {
                axis.variable: loop.variable for axis, loop in zip(part.axes, around, strict=False)
            }
            value, offset = part.at(here)
            inner = Elements(part.axes[shared:], part.buffer, offset, value)
            _write_part(inner, lanes, 1 if shared else cores, memory)


def _write_part(elements: Elements, lanes: int, cores: int, memory: Mapping[Any, Any]) -> None:
    from edgetvm.compile.schedules.turns import turn_of, write_turn

    buffer = memory.get(elements.buffer, elements.buffer)
    merged = merged_axes(linear_elements(elements, memory))
    turn = turn_of(merged)
    if turn is not None:
        write_turn(turn, lanes, cores, buffer)
        return
    axes = merged.axes
    vectors = bool(axes) and nests.stride([merged.value], axes[-1]) is not None
    flat = axes[-1] if vectors else None
    outer = axes[:-1] if vectors else axes
    with nests.loops_over(outer, cores) as loops:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        if flat is None:
            value, offset = merged.at(here)
            nests.store_at(buffer, value, offset)
            return

        def write(index: Any) -> None:
            value, offset = merged.at(here | {flat.variable: index})
            nests.store_at(buffer, value, offset)

        for piece in nests.pieces(flat.extent, lanes):
            nests.each_on(1 if outer else cores, piece, write)


def linear_elements(elements: Elements, memory: Mapping[Any, Any]) -> Elements:
    """The same, its loads made `linear`."""
    value = nests.linear(elements.value, elements.axes, memory)
    offset = nests.analyzer_of(elements.axes).simplify(elements.offset)
    return Elements(elements.axes, elements.buffer, offset, value)


def merged_axes(elements: Elements) -> Elements:
    """The same with as few axes as can be: two are one where all goes on from one to the next.

    Args:
        elements: the loads `linear`.
    """
    at = len(elements.axes) - 1
    while at > 0:
        joined = _joined(elements, at)
        elements, at = joined or elements, at - 1
    return elements


def _joined(elements: Elements, at: int) -> Elements | None:
    """The axis before a position and that there as one, if they can be."""
    from tvm import tirx

    outer, inner = elements.axes[at - 1], elements.axes[at]
    pair = [outer.variable, inner.variable]
    offsets = [one.indices[-1] for one in loads_of(elements.value) if len(one.indices)]
    for offset in (*offsets, elements.offset):
        factors = nests.linear_factors(offset, pair)
        if factors is None or factors[0] != factors[1] * inner.extent:
            return None
    if any(uses(_without_loads(elements.value), variable) for variable in pair):
        return None
    flat = Axis(tirx.Var("at", "int64"), outer.extent * inner.extent)
    # In every offset the inner axis alone then goes the whole way.
    value, offset = elements.at({outer.variable: nests.integer(0), inner.variable: flat.variable})
    axes = (*elements.axes[: at - 1], flat, *elements.axes[at + 1 :])
    return Elements(axes, elements.buffer, offset, value)


def _without_loads(value: Any) -> Any:
    from tvm import tirx

    return rewritten(value, {}, lambda one: tirx.const(0, one.ty.dtype))


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
    value, offset = elements.at(here)
    return Elements(tuple(axes), elements.buffer, offset, _decided(value, axes))


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
