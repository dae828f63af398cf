"""Operators that make tensors, and that repeat them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import MOST_ELEMENTS, Attributes, Builder, Lowering, Value
from edgetvm.models.relay.shapes import fields_of


def repeat(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Each element so many times."""
    value, times = arguments[0], attributes.integer("repeats")
    if "axis" not in attributes:
        value = builder.reshape(value, [math.prod(builder.shape(value))])
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(value))
    size = builder.shape(value)[axis]
    if times < 1:
        raise malformed(f"an axis repeated {times} times")
    builder.check_length(times * size)
    return builder.take(value, np.repeat(np.arange(size), times), axis)


def tile(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The whole so many times along each axis."""
    return builder.emit(builder.op.tile(arguments[0], attributes.integers("reps")))


def broadcast(builder: Builder, value: Any, shape: Sequence[int]) -> Any:
    """A tensor in a larger shape."""
    if tuple(shape) == builder.shape(value):
        return value
    return builder.emit(builder.op.broadcast_to(value, tuple(shape)))


def broadcast_to(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A larger shape that is named."""
    return broadcast(builder, arguments[0], attributes.integers("shape"))


def broadcast_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The shape of another tensor."""
    return broadcast(builder, arguments[0], builder.shape(arguments[1]))


def _collapsed(builder: Builder, value: Any, shape: Sequence[int]) -> Any:
    old = builder.shape(value)
    padded = [1] * (len(old) - len(shape)) + list(shape)
    axes = [axis for axis, size in enumerate(padded) if size == 1 and old[axis] != 1]
    if axes:
        value = builder.emit(builder.op.sum(value, axes, True))
    return builder.reshape(value, shape)


def collapse_to(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The sum over what broadcasting would repeat."""
    return _collapsed(builder, arguments[0], attributes.integers("shape"))


def collapse_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The same, to the shape of another tensor."""
    return _collapsed(builder, arguments[0], builder.shape(arguments[1]))


def _filled(builder: Builder, shape: Sequence[int], value: Any, dtype: str) -> Any:
    """A tensor of one number; `value` may be a tensor of one element."""
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_ELEMENTS:
        raise malformed(f"a tensor of shape {list(shape)!s:.100}")
    scalar = value if hasattr(value, "ty") else builder.const(value, dtype)
    scalar = builder.cast(builder.reshape(scalar, ()), dtype)
    array = builder.array(scalar)
    if array is not None and math.prod(shape) <= 64:
        return builder.const(np.full(tuple(shape), array), dtype)
    return broadcast(builder, scalar, shape)


def trilu(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """What lies above or below a diagonal."""
    diagonal = int(builder.known(arguments[1], "a diagonal").item()) if len(arguments) > 1 else 0
    name = "triu" if attributes.flag("upper", True) else "tril"
    return builder.emit(getattr(builder.op, name)(arguments[0], diagonal))


def filled(number: float) -> Lowering:
    """zeros and ones."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        shape = attributes.integers("shape")
        return _filled(builder, shape, number, attributes.dtype("dtype", "float32"))

    return lower


def filled_like(number: float) -> Lowering:
    """zeros_like and ones_like."""

    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        value = arguments[0]
        return _filled(builder, builder.shape(value), number, builder.dtype(value))

    return lower


def full(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A tensor of one number."""
    dtype = attributes.dtype("dtype", builder.dtype(arguments[0]))
    return _filled(builder, attributes.integers("shape", []), arguments[0], dtype)


def full_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The same, in the shape of another."""
    like = arguments[0]
    return _filled(builder, builder.shape(like), arguments[1], builder.dtype(like))


def arange(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Numbers in equal steps; where it starts and stops must be known."""
    start, stop, step = (builder.known(argument, "arange").item() for argument in arguments[:3])
    dtype = attributes.dtype("dtype", builder.dtype(arguments[0]))
    if not step or not 0 <= (stop - start) / step < math.inf:
        raise malformed(f"an arange from {start} to {stop} in steps of {step}")
    builder.check_length(math.ceil((stop - start) / step))
    return builder.const(np.arange(start, stop, step), dtype)


def shape_of(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The sizes, as a tensor."""
    return builder.const(builder.shape(arguments[0]), attributes.dtype("dtype", "int32"))


def size_of(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The number of elements."""
    count = math.prod(builder.shape(arguments[0]))
    return builder.const(count, attributes.dtype("dtype", "int32"))


def one_hot(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """One number where the index is, another elsewhere."""
    indices, on, off = arguments[:3]
    depth, dtype = attributes.integer("depth", 1), attributes.dtype("dtype", "float32")
    rank = builder.rank(indices)
    axis = builder.axis(attributes.integer("axis", -1), rank + 1)
    shape = builder.shape(indices)
    if depth < 1:
        raise malformed(f"one_hot of depth {depth}")
    builder.check_length(depth)
    wide = builder.reshape(indices, [*shape[:axis], 1, *shape[axis:]])
    places = builder.const(np.arange(depth), builder.dtype(indices))
    hot = builder.binary("equal", wide, builder.along(places, rank + 1, axis))
    on, off = (builder.cast(builder.reshape(number, ()), dtype) for number in (on, off))
    return builder.emit(builder.op.where(hot, on, off))


def meshgrid(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Coordinates of a grid: a tuple."""
    values = fields_of(arguments[0])
    flat = [builder.reshape(value, [math.prod(builder.shape(value))]) for value in values]
    order = list(range(len(flat)))
    if attributes.text("indexing", "ij") == "xy" and len(flat) > 1:
        order[:2] = [1, 0]
    sizes = [0] * len(flat)
    for place, value in zip(order, flat, strict=True):
        sizes[place] = builder.shape(value)[0]
    grids = []
    for place, value in zip(order, flat, strict=True):
        shape = [1] * len(flat)
        shape[place] = sizes[place]
        grids.append(broadcast(builder, builder.reshape(value, shape), sizes))
    return tuple(grids)
