"""Stages whose elements are independent: copies, chains, resizing, gathering, padding."""

from __future__ import annotations

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
        rewritten(nests.place(stage.buffers[0], stage), here),
        _with_simple_numbers(rewritten(stage.values[0], here), stage.long_axes),
    )
    waiting = list(stage.long_axes)
    while waiting:
        elements, new = _without_period(elements, waiting.pop())
        waiting += new
    return elements


def _without_period(elements: Elements, axis: Axis) -> tuple[Elements, list[Axis]]:
    """The same with an axis in two where indices repeat along it, and these two.

    LLVM took `x[i % 8]` for 16 elements in a row.
    """
    import tvm_ffi
    from tvm import tirx

    found: set[int] = set()

    def look(node: Any) -> None:
        if nests.is_constant(node.b) and nests.linear_factors(node.a, [axis.variable]) == [1]:
            found.add(int(node.b))

    kinds = (tirx.FloorMod, tirx.FloorDiv)
    tvm_ffi.structural_walk(elements.value, (kinds, look), order="pre")
    periods = [size for size in found if 1 < size < axis.extent and axis.extent % size == 0]
    if not periods:
        return elements, []
    size = max(periods)
    around = Axis(tirx.Var("around", "int64"), axis.extent // size)
    within = Axis(tirx.Var("within", "int64"), size)
    index = around.variable * size + within.variable
    value, offset = elements.at({axis.variable: index})
    at = elements.axes.index(axis)
    axes = (*elements.axes[:at], around, within, *elements.axes[at + 1 :])
    value = _with_simple_numbers(value, axes)
    return Elements(axes, elements.buffer, offset, value), [around, within]


def _with_simple_numbers(value: Any, axes: Sequence[Axis]) -> Any:
    """An expression with its indices and comparisons of numbers simplified."""
    import tvm_ffi
    from tvm import tirx

    analyzer = nests.analyzer_of(axes)

    def simple(node: Any) -> Any:
        if not str(node.a.ty.dtype).startswith("int") or loads_of(node):
            return node
        if isinstance(node, tirx.Div) and analyzer.can_prove(node.a >= 0):
            node = tirx.FloorDiv(node.a, node.b)
        return analyzer.simplify(node)

    kinds = (tirx.Div, tirx.FloorMod, tirx.FloorDiv, tirx.LT, tirx.LE, tirx.GT, tirx.GE)
    return tvm_ffi.structural_map(value, (kinds, simple), order="post")


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
