"""The nest of a stage whose elements are independent.

The innermost loop is one vector along as many of the last axes as are read without a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.elements import Elements, linear_elements, merged_axes
from edgetvm.compile.schedules.parts import parts_of
from edgetvm.compile.schedules.turns import turn_of, write_turn

# An element that is repeated so often is not worth a vector of its own.
_REPEATS = 4


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
    buffer = memory.get(elements.buffer, elements.buffer)
    merged = merged_axes(linear_elements(elements, memory))
    turn = turn_of(merged)
    if turn is not None:
        write_turn(turn, lanes, cores, buffer)
        return
    axes = merged.axes
    moves = nests.stride([merged.value], axes[-1]) if axes else None
    if moves == 0 and len(axes) > 1 and axes[-1].extent <= _REPEATS:
        _write_repeated(merged, cores, buffer)
        return
    vectors = moves is not None
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


def _write_repeated(elements: Elements, cores: int, buffer: Any) -> None:
    """Each element a few times side by side: LLVM makes vectors of the loop around that."""
    *outer, last = elements.axes
    with nests.loops_over(outer, cores) as loops, nests.unrolled(last.extent) as lane:
        here = {axis.variable: loop.variable for axis, loop in zip(outer, loops, strict=True)}
        value, offset = elements.at(here | {last.variable: lane})
        nests.store_at(buffer, value, offset)
