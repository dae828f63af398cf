"""Tensors that share memory: each is a part of the rows of the largest of them.

A concatenation is no work where its parts are made in the places that they have in its result. All
tensors of such a family have as many rows, which begin with the axis that is joined. A part that is
also joined otherwise, or cannot lie between others, is copied to its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgetvm.compile.memory.flow import Flow
from edgetvm.compile.memory.plan import ALIGNMENT_BYTES
from edgetvm.compile.memory.strides import Lie

# Elements of a row's part: where fewer lie side by side, kernels do not write vectors.
_SHORTEST = 4


@dataclass(frozen=True)
class Part:
    """Where a tensor lies in the rows.

    Attributes:
        begin, extent: elements of each row.
        written: whether a kernel writes it; else it consists of others.
    """

    begin: int
    extent: int
    written: bool

    @property
    def end(self) -> int:
        """The first element behind it."""
        return self.begin + self.extent

    def meets(self, other: Part) -> bool:
        """Whether two parts have an element in common."""
        return self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Rows:
    """A family of tensors.

    Attributes:
        count: of rows.
        itemsize: bytes of an element.
        parts: by tensor.
    """

    count: int
    itemsize: int
    parts: Mapping[Any, Part]

    @cached_property
    def begin(self) -> int:
        """The least begin of a part."""
        return min(part.begin for part in self.parts.values())

    @cached_property
    def extent(self) -> int:
        """Elements of a row."""
        return max(part.end for part in self.parts.values()) - self.begin

    def is_whole(self, tensor: Any) -> bool:
        """Whether a tensor consists of whole rows."""
        return self.parts[tensor].extent == self.extent

    def has_gaps(self, tensor: Any) -> bool:
        """Whether others lie between the rows of a tensor."""
        return self.count > 1 and not self.is_whole(tensor)

    def alignment_bytes(self, tensor: Any) -> int:
        """Of a tensor's first element."""
        distance = (self.parts[tensor].begin - self.begin) * self.itemsize
        return math.gcd(ALIGNMENT_BYTES, distance)

    def lie(self, tensor: Any, shape: Sequence[int]) -> Lie | None:
        """How a tensor lies that is seen in a shape; None where kernels need not know."""
        alignment, gaps = self.alignment_bytes(tensor), self.has_gaps(tensor)
        if alignment == ALIGNMENT_BYTES and not gaps:
            return None
        return Lie(
            self.extent if gaps else None, axes_before_rows(shape, self.count) or 0, alignment
        )


@dataclass(frozen=True)
class Joint:
    """A concatenation without a kernel.

    Attributes:
        copied: by position, the tensors that stand for parts that are copied.
    """

    copied: Mapping[int, Any]


@dataclass
class Families:
    """The families found so far.

    Attributes:
        flow: of the function.
        takes_parts: which kernels can read and write parts of rows.
        rows: of each tensor that has any.
        joints: by the result of the concatenation.
    """

    flow: Flow
    takes_parts: Mapping[Any, bool]
    rows: dict[Any, Rows] = field(default_factory=dict)
    joints: dict[Any, Joint] = field(default_factory=dict)

    def join(self, result: Any, axis: int) -> None:
        """Have the parts of a concatenation made in their places, where that is worth it."""
        shape = [int(size) for size in result.ty.shape]
        family = self.rows.get(result) or _alone(result, shape, axis)
        if family.count != math.prod(shape[:axis]):
            return
        whole = family.parts[result]
        family = replace(family, parts={**family.parts, result: replace(whole, written=False)})
        filled = self._filled(family, self.flow.made[result].args[1].fields, axis, whole.begin)
        if filled is None:
            return
        rows, copied = filled
        there = sum(rows.parts[one].extent for one in copied.values())
        if 2 * there <= whole.extent and self._fits(rows):
            self.rows |= dict.fromkeys(rows.parts, rows)
            self.joints[result] = Joint(copied)

    def _filled(
        self, rows: Rows, values: Sequence[Any], axis: int, at: int
    ) -> tuple[Rows, dict[int, Any]] | None:
        """The rows with tensors one behind the other, and those that are copied, by position."""
        from tvm import relax

        copied = {}
        for position, value in enumerate(values):
            extent = math.prod(int(size) for size in list(value.ty.shape)[axis:])
            place = Part(at, extent, written=True)
            longer = self._with(rows, value, place)
            if longer is None:
                copied[position] = relax.Var("copy", value.ty)
                longer = _with_part(rows, copied[position], place)
            if longer is None:
                return None
            rows, at = longer, place.end
        return rows, copied

    def _with(self, rows: Rows, value: Any, place: Part) -> Rows | None:
        """The rows with a tensor at a place, and all that lies round it; None where it cannot."""
        from tvm import relax

        if not isinstance(value, relax.Var) or value not in self.flow.tensors:
            return None
        if rows.count > 1 and place.extent < _SHORTEST:
            return None
        tensor = self.flow.tensors[value]
        if tensor in rows.parts:
            known = rows.parts[tensor]
            return rows if (known.begin, known.extent) == (place.begin, place.extent) else None
        other = self.rows.get(tensor)
        if other is None:
            found = _with_part(rows, tensor, place)
        else:
            found = _merged(rows, other, place.begin - other.parts[tensor].begin)
        return found if found is not None and self._fits(found) else None

    def _fits(self, rows: Rows) -> bool:
        """Whether all that has to do with the tensors can take them where they lie."""
        if not any(rows.is_whole(one) for one in rows.parts):
            return False
        return all(self._is_taken(rows, one) for one in rows.parts if one in self.flow.uses)

    def _is_taken(self, rows: Rows, tensor: Any) -> bool:
        uses, gaps = self.flow.uses[tensor], rows.has_gaps(tensor)
        if uses.elsewhere and not rows.is_whole(tensor):
            return False
        if gaps and any(axes_before_rows(shape, rows.count) is None for shape in uses.shapes):
            return False
        return rows.lie(tensor, uses.shapes[0]) is None or all(
            self.takes_parts[kernel] for kernel in uses.kernels
        )


def _alone(result: Any, shape: Sequence[int], axis: int) -> Rows:
    from tvm import DataType

    parts = {result: Part(0, math.prod(shape[axis:]), written=True)}
    itemsize = int(DataType(str(result.ty.dtype)).itemsize)
    return Rows(math.prod(shape[:axis]), itemsize, parts)


def axes_before_rows(shape: Sequence[int], count: int) -> int | None:
    """The axes of a shape that tell so many rows apart; None where an axis does both."""
    return next((at for at in range(len(shape) + 1) if math.prod(shape[:at]) == count), None)


def _with_part(rows: Rows, tensor: Any, place: Part) -> Rows | None:
    """The rows with one more tensor; None where something else is written there."""
    others = [one for one in rows.parts.values() if one.written]
    if place.written and any(place.meets(one) for one in others):
        return None
    return replace(rows, parts={**rows.parts, tensor: place})


def _merged(rows: Rows, other: Rows, distance: int) -> Rows | None:
    """Both families as one; None where something would be written twice.

    Args:
        rows, other: the families.
        distance: elements by which the other's parts move.
    """
    if rows.count != other.count:
        return None
    found: Rows | None = rows
    for tensor, part in other.parts.items():
        moved = replace(part, begin=part.begin + distance)
        found = None if found is None else _with_part(found, tensor, moved)
    return found
