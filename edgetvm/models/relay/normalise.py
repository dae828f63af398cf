"""Normalisations and activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.elementwise import reduced_axes


def batch_norm(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A tuple: what is normalised, the mean and the variance."""
    data, gamma, beta, mean, variance = arguments[:5]
    rank = builder.rank(data)
    axis = builder.axis(attributes.integer("axis", 1), rank)
    epsilon = attributes.number("epsilon", 1e-5)
    center, scale = attributes.flag("center", True), attributes.flag("scale", True)
    arrays = builder.all_arrays(gamma, beta, mean, variance)
    if arrays is not None:
        a, b, m, v = (array.astype("float64") for array in arrays)
        factor = (a if scale else 1) / np.sqrt(v + epsilon)
        offset = (b if center else 0) - m * factor
        dtype = builder.dtype(data)
        factor, offset = (
            builder.along(builder.const(vector, dtype), rank, axis) for vector in (factor, offset)
        )
        result = builder.binary("add", builder.binary("multiply", data, factor), offset)
        return result, mean, variance
    wide = [builder.along(value, rank, axis) for value in (gamma, beta, mean, variance)]
    deviation = builder.binary("add", wide[3], builder.scalar(epsilon, data))
    result = builder.binary("subtract", data, wide[2])
    result = builder.binary("divide", result, builder.emit(builder.op.sqrt(deviation)))
    result = builder.binary("multiply", result, wide[0]) if scale else result
    result = builder.binary("add", result, wide[1]) if center else result
    return result, mean, variance


def _normalised(builder: Builder, value: Any, axes: list[int], epsilon: float) -> Any:
    mean = builder.emit(builder.op.mean(value, axes, True))
    apart = builder.binary("subtract", value, mean)
    square = builder.binary("multiply", apart, apart)
    variance = builder.emit(builder.op.mean(square, axes, True))
    variance = builder.binary("add", variance, builder.scalar(epsilon, value))
    return builder.binary("multiply", apart, builder.emit(builder.op.rsqrt(variance)))


def _scaled(
    builder: Builder, value: Any, arguments: tuple[Value, ...], attributes: Attributes, axis: int
) -> Any:
    rank = builder.rank(value)
    if attributes.flag("scale", True):
        value = builder.binary("multiply", value, builder.along(arguments[1], rank, axis))
    if attributes.flag("center", True):
        value = builder.binary("add", value, builder.along(arguments[2], rank, axis))
    return value


def layer_norm(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Over one axis."""
    axis = builder.axis(attributes.integer("axis", -1), builder.rank(arguments[0]))
    value = _normalised(builder, arguments[0], [axis], attributes.number("epsilon", 1e-5))
    return _scaled(builder, value, arguments, attributes, axis)


def instance_norm(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Over all but the batch and the channel."""
    rank = builder.rank(arguments[0])
    axis = builder.axis(attributes.integer("axis", 1), rank)
    axes = [other for other in range(1, rank) if other != axis]
    value = _normalised(builder, arguments[0], axes, attributes.number("epsilon", 1e-5))
    return _scaled(builder, value, arguments, attributes, axis)


def group_norm(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Over groups of channels."""
    data = arguments[0]
    shape = list(builder.shape(data))
    axis = builder.axis(attributes.integer("axis", 1), len(shape))
    groups = attributes.integer("num_groups")
    if groups < 1 or shape[axis] % groups:
        raise malformed(f"{groups} groups of {shape[axis]} channels")
    split = [*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]]
    axes = [other for other in range(1, len(split)) if other != axis]
    value = builder.reshape(data, split)
    value = _normalised(builder, value, axes, attributes.number("epsilon", 1e-5))
    return _scaled(builder, builder.reshape(value, shape), arguments, attributes, axis)


def l2_normalize(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Divided by its length."""
    value = arguments[0]
    axes = reduced_axes(builder, value, attributes)
    total = builder.emit(builder.op.sum(builder.binary("multiply", value, value), axes, True))
    total = builder.binary("maximum", total, builder.scalar(attributes.number("eps"), value))
    return builder.binary("divide", value, builder.emit(builder.op.sqrt(total)))


def lrn(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Local response normalisation."""
    data = arguments[0]
    axis = builder.axis(attributes.integer("axis", 1), builder.rank(data))
    size = attributes.integer("size", 5)
    square = builder.binary("multiply", data, data)
    before = (size - 1) // 2 if size % 2 == 0 else size // 2
    count = builder.shape(data)[axis]
    if not 0 < size <= 4 * count + 4:
        raise malformed(f"a local response over {size} of {count} channels")
    widths = [0, 0] * builder.rank(data)
    widths[2 * axis : 2 * axis + 2] = [before, size - 1 - before]
    wide = builder.emit(builder.op.nn.pad(square, widths, "constant", 0.0))
    total = None
    for first in range(size):
        part = builder.emit(builder.op.strided_slice(wide, [axis], [first], [first + count], [1]))
        total = part if total is None else builder.binary("add", total, part)
    alpha = attributes.number("alpha", 1e-4) / size
    total = builder.binary("multiply", total, builder.scalar(alpha, data))
    total = builder.binary("add", total, builder.scalar(attributes.number("bias", 2.0), data))
    power = builder.scalar(attributes.number("beta", 0.75), data)
    return builder.binary("divide", data, builder.binary("power", total, power))


def leaky_relu(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A slope below zero."""
    slope = attributes.number("alpha", 0.25)
    return builder.emit(builder.op.nn.leakyrelu(arguments[0], slope))


def prelu(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A slope below zero for each channel."""
    data, slope = arguments[:2]
    rank = builder.rank(data)
    axis = builder.axis(attributes.integer("axis", 1), rank)
    slope = builder.along(slope, rank, axis)
    below = builder.binary("multiply", data, slope)
    positive = builder.binary("greater", data, builder.scalar(0, data))
    return builder.emit(builder.op.where(positive, data, below))


def softmax(name: str) -> Lowering:
    """softmax and log_softmax."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        axis = builder.axis(attributes.integer("axis", -1), builder.rank(arguments[0]))
        return builder.emit(getattr(builder.op.nn, name)(arguments[0], axis))

    return lower


def relu(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """Nothing below zero."""
    return builder.emit(builder.op.nn.relu(arguments[0]))


def dropout(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """A tuple: the data, and a mask that nothing uses."""
    data = arguments[0]
    ones = builder.scalar(1, data)
    shape = builder.shape(data)
    mask = builder.emit(builder.op.broadcast_to(ones, shape)) if math.prod(shape) != 1 else ones
    return data, mask
