"""Elements cut into parts in which conditions on their place are decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.elements import Elements
from edgetvm.compile.schedules.stages import Axis, is_conditional

# Parts that conditions may cut a stage into; beyond that, code grows for little.
_MOST_PARTS = 128


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
        return chosen(one.args[0], one.args[1], one.args[2], one) if is_conditional(one) else one

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
