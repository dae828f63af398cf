"""Convolutions, matrix products, pools and normalisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Value
from edgetvm.models.relay.elementwise import Lowering, reduced_axes
from edgetvm.models.relay.manipulate import relayout

_SPACES = {1: "W", 2: "HW", 3: "DHW"}


def wide_product(builder: Builder, left: Any, right: Any, out_dtype: str) -> tuple[Any, Any]:
    """Operands of one dtype, as TVM's kernels want them."""
    kinds = {builder.dtype(left), builder.dtype(right)}
    if len(kinds) == 1:
        return left, right
    wide = "int32" if out_dtype == "int32" else out_dtype
    if "int32" in kinds or not all("int" in kind for kind in kinds):
        return builder.cast(left, wide), builder.cast(right, wide)
    return builder.cast(left, "int16"), builder.cast(right, "int16")


def _out_dtype(builder: Builder, attributes: Attributes, data: Any) -> str:
    return attributes.dtype("out_dtype", builder.dtype(data))


def convolve(
    builder: Builder, data: Any, kernel: Any, attributes: Attributes, count: int, out_dtype: str
) -> Any:
    """A convolution over `count` axes, in any layout."""
    space = _SPACES[count]
    first, last = f"NC{space}", f"N{space}C"
    layout = attributes.text("data_layout", first)
    kernel_layout = attributes.text("kernel_layout", f"OI{space}")
    out_layout = attributes.text("out_layout", layout)
    groups = attributes.integer("groups", 1)
    inner = layout if layout in (first, last) else first
    data = relayout(builder, data, layout, inner)
    kernel = relayout(builder, kernel, kernel_layout, f"OI{space}")
    channels = builder.shape(data)[inner.index("C")]
    outs, ins, *window = builder.shape(kernel)
    if groups < 1 or channels % groups:
        raise malformed(f"{groups} groups of {channels} channels")
    if ins * groups != channels and outs == groups == channels:
        # A depthwise kernel as TensorFlow has it: channels, then the multiplier.
        kernel = builder.reshape(kernel, [outs * ins, 1, *window])
    if inner == last:
        kernel = builder.permute(kernel, [*range(2, count + 2), 1, 0])
    data, kernel = wide_product(builder, data, kernel, out_dtype)
    function = getattr(builder.op.nn, f"conv{count}d")
    result = builder.emit(
        function(
            data,
            kernel,
            strides=attributes.window("strides", count),
            padding=attributes.padding(count),
            dilation=attributes.window("dilation", count),
            groups=groups,
            data_layout=inner,
            kernel_layout=f"{space}IO" if inner == last else f"OI{space}",
            out_dtype=out_dtype,
        )
    )
    return relayout(builder, result, inner, out_layout)


def conv(count: int) -> Lowering:
    """A convolution over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, kernel = arguments[:2]
        out_dtype = _out_dtype(builder, attributes, data)
        return convolve(builder, data, kernel, attributes, count, out_dtype)

    return lower


def convolve_transposed(
    builder: Builder, data: Any, kernel: Any, attributes: Attributes, count: int, out_dtype: str
) -> Any:
    """A transposed convolution. Before TVM 0.8 its kernel's layout was called OI and was IO."""
    space = _SPACES[count]
    first = f"NC{space}"
    layout = attributes.text("data_layout", first)
    kernel_layout = attributes.text("kernel_layout", f"IO{space}")
    out_layout = attributes.text("out_layout", layout)
    data = relayout(builder, data, layout, first)
    channels = builder.shape(data)[1]
    moved = relayout(builder, kernel, kernel_layout, f"IO{space}")
    if builder.shape(moved)[0] != channels and builder.shape(kernel)[0] == channels:
        moved = kernel
    data, moved = wide_product(builder, data, moved, out_dtype)
    function = getattr(builder.op.nn, f"conv{count}d_transpose")
    result = builder.emit(
        function(
            data,
            moved,
            strides=attributes.window("strides", count),
            padding=attributes.padding(count),
            output_padding=attributes.window("output_padding", count, 0, least=0),
            dilation=attributes.window("dilation", count),
            groups=attributes.integer("groups", 1),
            data_layout=first,
            kernel_layout=f"IO{space}",
            out_dtype=out_dtype,
        )
    )
    return relayout(builder, result, first, out_layout)


def conv_transpose(count: int) -> Lowering:
    """A transposed convolution over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, kernel = arguments[:2]
        out_dtype = _out_dtype(builder, attributes, data)
        return convolve_transposed(builder, data, kernel, attributes, count, out_dtype)

    return lower


# Matrix products.


def multiply_matrices(builder: Builder, left: Any, right: Any, out_dtype: str) -> Any:
    """A matrix product with its sums in `out_dtype`."""
    if builder.rank(left) == 0 or builder.rank(right) == 0:
        raise malformed("a matrix product of a scalar")
    left, right = wide_product(builder, left, right, out_dtype)
    return builder.emit(builder.op.matmul(left, right, out_dtype))


def swapped(builder: Builder, value: Any) -> Any:
    """With the last two axes swapped."""
    rank = builder.rank(value)
    if rank < 2:
        raise malformed(f"a matrix of {rank} axes")
    return builder.permute(value, [*range(rank - 2), rank - 1, rank - 2])


def dense(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Data times transposed weights."""
    out_dtype = _out_dtype(builder, attributes, arguments[0])
    return multiply_matrices(builder, arguments[0], swapped(builder, arguments[1]), out_dtype)


def matmul(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Either side transposed as its attributes say."""
    left, right = arguments[:2]
    out_dtype = _out_dtype(builder, attributes, left)
    left = swapped(builder, left) if attributes.flag("transpose_a") else left
    right = swapped(builder, right) if attributes.flag("transpose_b") else right
    return multiply_matrices(builder, left, right, out_dtype)


def batch_matmul(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The same for a batch. TVM before 0.8 had no attributes: the right side was transposed."""
    left, right = arguments[:2]
    inner = builder.shape(left)[-2 if attributes.flag("transpose_a") else -1]
    other = builder.shape(right)
    turned = attributes.flag("transpose_b")
    if not turned and len(other) == 3 and inner != other[1] and inner == other[2]:
        turned = True
    given = {"transpose_a": attributes.flag("transpose_a"), "transpose_b": turned}
    given["out_dtype"] = attributes.get("out_dtype")
    return matmul(builder, (left, right), Attributes(given))


def einsum(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Einstein's sum."""
    values = arguments[0] if isinstance(arguments[0], tuple) else arguments
    return builder.emit(builder.op.einsum(values, attributes.text("equation")))


def bias_add(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A vector added along an axis."""
    data, bias = arguments[:2]
    rank = builder.rank(data)
    axis = builder.axis(attributes.integer("axis", 1), rank)
    return builder.binary("add", data, builder.along(bias, rank, axis))


# Pools.


def pool(kind: str, count: int) -> Lowering:
    """max_pool and avg_pool over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        first = f"NC{_SPACES[count]}"
        layout = attributes.text("layout", first)
        inner = layout if layout in (first, f"N{_SPACES[count]}C") else first
        data = relayout(builder, arguments[0], layout, inner)
        options: dict[str, Any] = {
            "pool_size": attributes.window("pool_size", count, None),
            "strides": attributes.window("strides", count),
            "padding": attributes.padding(count),
            "dilation": attributes.window("dilation", count),
            "ceil_mode": attributes.flag("ceil_mode"),
            "layout": inner,
        }
        options["count_include_pad"] = attributes.flag("count_include_pad")
        result = builder.emit(getattr(builder.op.nn, f"{kind}_pool{count}d")(data, **options))
        return relayout(builder, result, inner, attributes.text("out_layout", layout))

    return lower


def _space(builder: Builder, value: Any, attributes: Attributes, count: int) -> list[int]:
    layout = attributes.text("layout", f"NC{_SPACES[count]}")
    if len(layout) != builder.rank(value) or not layout.isalpha():
        raise malformed(f"a pool of {builder.rank(value)} axes in the layout {layout:.20}")
    return [axis for axis, letter in enumerate(layout) if letter in _SPACES[count]]


def global_pool(kind: str, count: int) -> Lowering:
    """A pool over all of the picture."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        axes = _space(builder, arguments[0], attributes, count)
        name = "mean" if kind == "avg" else "max"
        return builder.emit(getattr(builder.op, name)(arguments[0], axes, True))

    return lower


def adaptive_pool(kind: str, count: int) -> Lowering:
    """A pool into so many windows."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        value = arguments[0]
        axes = _space(builder, value, attributes, count)
        if attributes.integers("output_size", []):
            sizes = attributes.window("output_size", count)
        else:
            sizes = [builder.shape(value)[axis] for axis in axes]
        if set(sizes) == {1}:
            return global_pool(kind, count)(builder, arguments, attributes)
        layout = attributes.text("layout", f"NC{_SPACES[count]}")
        name = "adaptive_pool" if count == 2 else f"adaptive_pool{count}d"
        return builder.te(getattr(builder.topi.nn, name), value, sizes, kind, layout)

    return lower


# Normalisations.


def batch_norm(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A tuple: what is normalised, the mean and the variance."""
    data, gamma, beta, mean, variance = arguments[:5]
    rank = builder.rank(data)
    axis = builder.axis(attributes.integer("axis", 1), rank)
    epsilon = attributes.number("epsilon", 1e-5)
    center, scale = attributes.flag("center", True), attributes.flag("scale", True)
    arrays = [builder.array(value) for value in (gamma, beta, mean, variance)]
    if all(array is not None for array in arrays):
        a, b, m, v = (array.astype("float64") for array in arrays)  # type: ignore[union-attr]
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
    alpha = attributes.number("alpha", 1e-5) / size
    total = builder.binary("multiply", total, builder.scalar(alpha, data))
    total = builder.binary("add", total, builder.scalar(attributes.number("bias", 2.0), data))
    power = builder.scalar(attributes.number("beta", 0.75), data)
    return builder.binary("divide", data, builder.binary("power", total, power))


# Activations.


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
