"""The nest of a stage whose elements are independent.

The innermost loop is one vector along as many of the last axes as are read without a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.elements import Elements, linear_elements, merged_axes
from edgetvm.compile.schedules.nests import Shape
from edgetvm.compile.schedules.parts import parts_of
from edgetvm.compile.schedules.stages import Axis, loads_of
from edgetvm.compile.schedules.turns import turn_of, write_turn

# Elements that are too few for a vector.
_SHORT = 4


def write_elements(elements: Elements, shape: Shape, memory: Mapping[Any, Any]) -> None:
    """Write the nest of a stage.

    Args:
        elements: what it computes.
        shape: of the nest.
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
    with nests.loops_over(elements.axes[:shared], shape.cores) as around:
        for part in parts:
            here = {
                axis.variable: loop.variable for axis, loop in zip(part.axes, around, strict=False)
            }
            value, offset = part.at(here)
            inner = Elements(part.axes[shared:], part.buffer, offset, value)
            within = replace(shape, cores=1) if shared else shape
            _write_part(inner, within, memory)


def _write_part(elements: Elements, shape: Shape, memory: Mapping[Any, Any]) -> None:
    buffer = memory.get(elements.buffer, elements.buffer)
    merged = merged_axes(linear_elements(elements, memory))
    turn = turn_of(merged)
    if turn is not None:
        write_turn(turn, shape.lanes, shape.cores, buffer)
        return
    axes = merged.axes
    moves = nests.stride([merged.value], axes[-1]) if axes else None
    short = _short_axis(merged, moves, shape.lanes)
    if short is not None:
        _write_woven(merged, short, shape.cores, buffer)
        return
    vectors = moves is not None
    flat = axes[-1] if vectors else None
    outer = axes[:-1] if vectors else axes
    with nests.loops_over(outer, shape.cores) as loops:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        if flat is None:
            value, offset = merged.at(here)
            nests.store_at(buffer, value, offset)
            return

        def write(index: Any) -> None:
            value, offset = merged.at(here | {flat.variable: index})
            nests.store_at(buffer, value, offset)

        for piece in nests.pieces(flat.extent, shape.lanes * shape.vectors):
            nests.each_on(1 if outer else shape.cores, piece, write)


def _short_axis(elements: Elements, moves: int | None, lanes: int) -> Axis | None:
    """An axis that should be innermost for being short, if there is one.

    That is the last where each element goes to a few places side by side, or another along which a
    few elements are read that lie side by side: LLVM makes vectors of the loop around it.
    """
    axes = elements.axes
    if len(axes) < 2:
        return None
    if moves is not None:
        fills = moves == 1 and axes[-1].extent >= lanes
        return axes[-1] if axes[-1].extent <= _SHORT and not fills else None
    for at, axis in enumerate(axes[:-1]):
        factors = [
            nests.factors_of(one, [a.variable for a in axes]) for one in loads_of(elements.value)
        ]
        if axis.extent <= _SHORT and any(found and found[at] == 1 for found in factors):
            return axis
    return None


def _write_woven(elements: Elements, short: Axis, cores: int, buffer: Any) -> None:
    outer = [axis for axis in elements.axes if axis is not short]
    with nests.loops_over(outer, cores) as loops, nests.unrolled(short.extent) as lane:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        value, offset = elements.at(here | {short.variable: lane})
        nests.store_at(buffer, value, offset)
