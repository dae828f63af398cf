"""Operators that change shapes and layouts, and that join tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Value


def fields_of(value: Value) -> tuple[Value, ...]:
    """The fields of a tuple argument.

    Raises:
        ModelUnreadableError: it is a tensor.
    """
    if not isinstance(value, tuple) or not value:
        raise malformed("a tensor or an empty tuple where a tuple of tensors should be")
    return value


def new_shape(old: Sequence[int], wanted: Sequence[int], allow_zero: bool = False) -> list[int]:
    """Relay's shape language: 0 keeps, -1 infers, -2 keeps the rest, -3 merges two, -4 splits one.

    Raises:
        ModelUnreadableError: it cannot be.
    """
    made: list[int] = []
    inferred: int | None = None
    refusal = malformed(f"{list(old)!s:.100} cannot be reshaped to {list(wanted)!s:.100}")
    sizes, codes = iter(old), iter(wanted)
    try:
        for code in codes:
            if code == -1:
                if inferred is not None:
                    raise refusal
                inferred = len(made)
                made.append(1)
                next(sizes, None)
            elif code > 0 or (code == 0 and allow_zero):
                made.append(code)
                next(sizes, None)
            else:
                made += _coded(code, sizes, codes)
    except (StopIteration, ValueError) as error:
        raise refusal from error
    total, others = math.prod(old), math.prod(made)
    if inferred is not None:
        made[inferred] = total // others if others else 0
    if math.prod(made) != total:
        raise refusal
    return made


def _coded(code: int, sizes: Iterator[int], codes: Iterator[int]) -> list[int]:
    """What a code of a new shape stands for. ValueError or StopIteration: for nothing."""
    if code == 0:
        return [next(sizes)]
    if code == -2:
        return list(sizes)
    if code == -3:
        return [next(sizes) * next(sizes)]
    whole, parts = next(sizes), [next(codes), next(codes)]
    if code != -4 or min(parts) < -1 or 0 in parts or parts == [-1, -1]:
        raise ValueError
    return [whole // -math.prod(parts) if part == -1 else part for part in parts]


def reshape(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Another shape; the second argument of `dyn.reshape` is the attribute."""
    value = arguments[0]
    wanted = attributes.integers("newshape")
    old = builder.shape(value)
    if attributes.flag("reverse"):
        made = new_shape(old[::-1], _reversed_codes(wanted))[::-1]
    else:
        made = new_shape(old, wanted, attributes.flag("allowzero"))
    return builder.reshape(value, made)


def reverse_reshape(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """The same, with the codes read from the right."""
    wanted = _reversed_codes(attributes.integers("newshape"))
    made = new_shape(builder.shape(arguments[0])[::-1], wanted)
    return builder.reshape(arguments[0], made[::-1])


def _reversed_codes(wanted: Sequence[int]) -> list[int]:
    if -4 in wanted:
        raise malformed("a reshape from the right that splits an axis")
    return list(wanted[::-1])


def reshape_like(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The shape, or a part of the shape, of another tensor."""
    old, other = builder.shape(arguments[0]), builder.shape(arguments[1])

    def part(side: str, rank: int) -> tuple[int, int]:
        begin, end = attributes.integer(f"{side}_begin", 0), attributes.get(f"{side}_end")
        end = rank if end is None else attributes.integer(f"{side}_end")
        return begin + rank * (begin < 0), end + rank * (end < 0)

    begin, end = part("lhs", len(old))
    first, last = part("rhs", len(other))
    return builder.reshape(arguments[0], [*old[:begin], *other[first:last], *old[end:]])


def expand_dims(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """New axes of size 1."""
    shape = list(builder.shape(arguments[0]))
    axis = builder.axis(attributes.integer("axis"), len(shape) + 1)
    count = attributes.integer("num_newaxis", 1)
    if not 0 <= count <= 32:
        raise malformed(f"{count} new axes")
    return builder.reshape(arguments[0], shape[:axis] + [1] * count + shape[axis:])


def squeeze(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Fewer axes of size 1."""
    shape = builder.shape(arguments[0])
    if "axis" in attributes:
        gone = [builder.axis(axis, len(shape)) for axis in attributes.integers("axis")]
    else:
        gone = [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in gone):
        raise malformed(f"axes {gone} of {list(shape)} cannot be squeezed")
    return builder.reshape(arguments[0], [s for i, s in enumerate(shape) if i not in gone])


def batch_flatten(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """All but the first axis in one."""
    shape = builder.shape(arguments[0])
    return builder.reshape(arguments[0], [shape[0], math.prod(shape[1:])])


def transpose(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Axes in another order; reversed without one."""
    rank = builder.rank(arguments[0])
    axes = [builder.axis(axis, rank) for axis in attributes.integers("axes", [])]
    axes = axes or list(range(rank))[::-1]
    if sorted(axes) != list(range(rank)):
        raise malformed(f"{axes} is no order of {rank} axes")
    return builder.permute(arguments[0], axes)


def layout_transform(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """From one layout to another."""
    source, target = attributes.text("src_layout"), attributes.text("dst_layout")
    return relayout(builder, arguments[0], source, target)


def layout_axes(text: str) -> list[tuple[str, int]]:
    """Axes with their split size: `NCHW4c` is N, C, H, W and c of 4. 0 for an axis of any size."""
    axes: list[tuple[str, int]] = []
    digits = ""
    for letter in text:
        if letter.isdigit():
            digits += letter
        else:
            axes.append((letter, int(digits) if digits else 0))
            digits = ""
    return axes


def relayout(builder: Builder, value: Any, source: str, target: str) -> Any:
    """A tensor in another layout; split axes are joined, ordered and split again."""
    if source == target:
        return value
    axes, wanted = layout_axes(source), layout_axes(target)
    shape = builder.shape(value)
    primal = [letter for letter, size in axes if not size]
    names = [letter for letter, _ in axes]
    if len(axes) != len(shape) or sorted(primal) != sorted(
        letter for letter, size in wanted if not size
    ):
        raise malformed(f"{source} cannot be laid out as {target}")
    # Join: each split axis goes right after its own.
    order: list[int] = []
    joined: dict[str, int] = {}
    for letter in primal:
        parts = [i for i, name in enumerate(names) if name.upper() == letter]
        parts.sort(key=lambda i: names[i] != letter)
        order += parts
        joined[letter] = math.prod(shape[i] for i in parts)
    value = builder.permute(value, order)
    value = builder.reshape(value, list(joined.values()))
    # Split and order.
    sizes: list[int] = []
    places: list[int] = []  # in the target
    for letter in primal:
        factors = [
            (place, size)
            for place, (name, size) in enumerate(wanted)
            if size and name.upper() == letter
        ]
        whole = joined[letter]
        for _, size in factors:
            if whole % size:
                raise malformed(f"{source} cannot be laid out as {target}")
            whole //= size
        sizes += [whole, *(size for _, size in factors)]
        places += [wanted.index((letter, 0)), *(place for place, _ in factors)]
    if sorted(places) != list(range(len(wanted))):
        raise malformed(f"{source} cannot be laid out as {target}")
    value = builder.reshape(value, sizes)
    return builder.permute(value, [places.index(place) for place in range(len(wanted))])


def concatenate(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Tensors one after the other."""
    values = fields_of(arguments[0])
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(values[0]))
    arrays = builder.all_small(*values)
    if arrays is not None:
        array = np.concatenate(arrays, axis)
        return builder.const(array, array.dtype.name)
    return builder.emit(builder.op.concat(list(values), axis)) if len(values) > 1 else values[0]


def stack(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Tensors side by side on a new axis."""
    values = fields_of(arguments[0])
    rank = builder.rank(values[0])
    axis = builder.axis(attributes.integer("axis", 0), rank + 1)
    widened = []
    for value in values:
        shape = builder.shape(value)
        widened.append(builder.reshape(value, [*shape[:axis], 1, *shape[axis:]]))
    return concatenate(builder, (tuple(widened),), Attributes({"axis": axis}))
