"""Convolutions and matrix products, float, quantised, and float by 8-bit weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, is_constant, shape_of
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

_SAME = 0  # tflite.Padding

# (data, kernel, dtype of the sum, the data's zero point) to the sum.
Product = Callable[[Value, Value, str, int], Value]


@dataclass(frozen=True)
class Window:
    """How a kernel moves over height and width, and depth before them if there is one.

    Attributes:
        size, stride, dilation: one each for these axes.
        padding: (before, after) for each.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        extent: tuple[int, ...],
        size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: int,
        dilation: tuple[int, ...] = (1, 1),
    ) -> Window:
        """The window over a picture of `extent`, padded as `tflite.Padding` says."""
        if min(*size, *stride, *dilation) < 1:
            raise ValueError("a window without extent or stride")
        widths = []
        for axis in range(len(extent)):
            reach = (size[axis] - 1) * dilation[axis] + 1
            steps = -(-extent[axis] // stride[axis])
            total = max((steps - 1) * stride[axis] + reach - extent[axis], 0)
            total = total if padding == _SAME else 0
            if extent[axis] + total < reach:
                raise ValueError(f"a window of {reach} does not fit into {extent[axis]}")
            widths.append((total // 2, total - total // 2))
        return cls(size, stride, dilation, tuple(widths))

    @property
    def relax_padding(self) -> list[int]:
        """Relax's order: what is before all axes, then what is after them."""
        return [before for before, _ in self.padding] + [after for _, after in self.padding]

    @property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """For an NHWC tensor."""
        return ((0, 0), *self.padding, (0, 0))


def convolve(
    node: Node, data: Value, kernel: Value, window: Window, groups: int, dtype: str
) -> Value:
    """An NHWC convolution by an HWIO kernel, summed in `dtype`."""
    from tvm import relax

    return node.emit.relax(
        relax.op.nn.conv2d,
        data,
        kernel,
        strides=list(window.stride),
        padding=window.relax_padding,
        dilation=list(window.dilation),
        groups=groups,
        data_layout="NHWC",
        kernel_layout="HWIO",
        out_dtype=dtype,
    )


@rule("CONV_2D", quantised=itself)
def conv_2d(node: Node) -> Value:
    """The kernel is [output, height, width, input / groups]."""
    _, height, width, depth = node.axes(1, 4)
    channels = node.shape(0)[3]
    if depth == 0 or channels % depth:
        raise ValueError(f"a kernel of depth {depth} over {channels} channels")
    kernel = node.emit.transpose(node.value(1), (1, 2, 3, 0))
    return _convolution(
        node, kernel, (height, width), channels // depth, node.options("Conv2DOptions")
    )


@rule("CONV_3D", quantised=itself)
def conv_3d(node: Node) -> Value:
    """The kernel is [depth, height, width, input, output]."""
    from tvm import relax

    options = node.options("Conv3DOptions")
    window = Window.of(
        node.shape(0)[1:4],
        node.shape(1)[:3],
        (options.StrideD(), options.StrideH(), options.StrideW()),
        options.Padding(),
        (options.DilationDFactor(), options.DilationHFactor(), options.DilationWFactor()),
    )
    total = node.emit.relax(
        relax.op.nn.conv3d,
        node.value(0),
        node.value(1),
        strides=list(window.stride),
        padding=window.relax_padding,
        dilation=list(window.dilation),
        data_layout="NDHWC",
        kernel_layout="DHWIO",
    )
    return node.activated(_biased(node, total), options.FusedActivationFunction())


@rule("DEPTHWISE_CONV_2D", quantised=itself)
def depthwise_conv_2d(node: Node) -> Value:
    """The kernel is [1, height, width, channels * multiplier]."""
    _, height, width, outputs = node.axes(1, 4)
    channels = node.shape(0)[3]
    if channels == 0 or outputs % channels:
        raise ValueError(f"a kernel of {outputs} outputs over {channels} channels")
    kernel = node.emit.transpose(node.value(1), (1, 2, 0, 3))
    options = node.options("DepthwiseConv2DOptions")
    return _convolution(node, kernel, (height, width), channels, options)


def _convolution(
    node: Node, kernel: Value, size: tuple[int, int], groups: int, options: Any
) -> Value:
    _, height, width, _ = node.axes(0, 4)
    window = Window.of(
        (height, width),
        size,
        (options.StrideH(), options.StrideW()),
        options.Padding(),
        (options.DilationHFactor(), options.DilationWFactor()),
    )
    activation = options.FusedActivationFunction()

    def product(data: Value, weights: Value, dtype: str, fill: int) -> Value:
        if dtype == "float32":
            return convolve(node, data, weights, window, groups, dtype)
        # Padding stands for zero: for the zero point, that is.
        padded = node.emit.pad(data, window.widths, fill)
        bare = Window(window.size, window.stride, window.dilation, ((0, 0), (0, 0)))
        return convolve(node, padded, weights, bare, groups, dtype)

    # LiteRT computes a 1x1 convolution as a matrix product: each point has its own scale.
    is_dense = size == (1, 1) == window.stride and groups == 1
    shared = (3,) if is_dense else (1, 2, 3)
    return weighted(node, kernel, product, activation, (0, 1, 2), shared)


def weighted(
    node: Node,
    kernel: Value,
    product: Product,
    activation: int,
    summed: tuple[int, ...],
    shared: tuple[int, ...],
) -> Value:
    """Bias, rescaling and activation around a convolution or matrix product.

    Args:
        kernel: the outputs along its last axis.
        product: `(data, kernel, dtype of the sum, zero point) -> sum`.
        summed: the kernel's axes that are summed over.
        shared: the data's axes that share a scale, where only the weights are quantised.
    """
    weights = node.tensors[1]
    source = node.tensors[0]
    if source is None or weights is None:
        raise ValueError("without input or weights")
    if source.scales is None and weights.scales is None:
        total = product(node.value(0), kernel, "float32", 0)
        return node.activated(_biased(node, total), activation)
    if source.scales is None:
        return node.activated(_hybrid(node, kernel, product, shared), activation)
    return _integer(node, kernel, product, activation, summed)


def _hybrid(node: Node, kernel: Value, product: Product, shared: tuple[int, ...]) -> Value:
    """Float data by 8-bit weights: the data are quantised as they come."""
    emit = node.emit
    weights = node.scales(1)
    if weights.zero_point.any():
        real = q.dequantise(emit, kernel, Scales(weights.scale, weights.zero_point, -1))
        return _biased(node, product(node.value(0), real, "float32", 0))
    data = q.dynamic(emit, node.value(0), shared)
    total = data.summed(emit, lambda integers: product(integers, kernel, "int32", 0))
    real = emit("multiply", emit.cast(total, "float32"), data.step)
    return _biased(node, emit("multiply", real, weights.along(weights.scale, 1, 0)))


def _biased(node: Node, total: Value) -> Value:
    return node.emit("add", total, node.value(2)) if node.has(2) else total


def _integer(
    node: Node, kernel: Value, product: Product, activation: int, summed: tuple[int, ...]
) -> Value:
    emit = node.emit
    inputs, weights, outputs = node.scales(0), node.scales(1), node.result_scales
    dtype = "int64" if dtype_of(node.value(0)) == "int16" else "int32"
    if weights.zero_point.any():
        wide = emit.cast(kernel, "int16")
        zero = weights.along(weights.zero_point.astype(np.int16), 1, 0)
        kernel = emit("subtract", wide, zero)
    zero_point = int(inputs.zero_point[0])
    total = product(node.value(0), kernel, dtype, zero_point)
    if zero_point:
        sums = emit.reduce("sum", emit.cast(kernel, dtype), summed, keep=False)
        offset = emit("multiply", sums, -zero_point)
        bias = emit("add", emit.cast(node.value(2), dtype), offset) if node.has(2) else offset
        total = emit("add", total, bias)
    elif node.has(2):
        total = emit("add", total, emit.cast(node.value(2), dtype))
    factor = inputs.scale[0] * weights.along(weights.scale, 1, 0) / outputs.scale[0]
    within = q.clip_range(activation, outputs, node.result.dtype)
    return q.rescale(emit, total, factor, outputs, node.result.dtype, within)


@rule("FULLY_CONNECTED", quantised=itself)
def fully_connected(node: Node) -> Value:
    """The weights are [output, input]."""
    options = node.options("FullyConnectedOptions")
    if options.WeightsFormat():
        raise Refusal("with shuffled weights")
    emit = node.emit
    outputs, depth = node.axes(1, 2)
    shape = node.shape(0)
    kernel = emit.transpose(node.value(1), (1, 0))
    flat = replace(node, inputs=(emit.reshape(node.value(0), (-1, depth)), *node.inputs[1:]))

    def product(data: Value, weights: Value, dtype: str, _fill: int) -> Value:
        return emit.matmul(data, weights, dtype)

    result = weighted(flat, kernel, product, options.FusedActivationFunction(), (0,), (1,))
    if options.KeepNumDims():
        return emit.reshape(result, (*shape[:-1], outputs))
    return result


@rule("TRANSPOSE_CONV", quantised=itself)
def transpose_conv(node: Node) -> Value:
    """As a convolution of the input with zeros between its points, by the kernel turned round."""
    options = node.options("TransposeConvOptions")
    emit = node.emit
    kernel = emit.transpose(node.value(1), (1, 2, 3, 0))
    kernel = _flipped(node, kernel)
    _, height, width, _ = node.integers(0, "an output shape", 4)
    stride = (options.StrideH(), options.StrideW())
    size = shape_of(kernel)[:2]
    # The padding of the convolution whose gradient this is.
    forward = Window.of((height, width), (size[0], size[1]), stride, options.Padding())
    data = node.value(2)
    extent = shape_of(data)[1:3]
    inner = replace(
        node,
        inputs=(data, node.value(1), *node.inputs[3:]),
        tensors=(node.tensors[2], node.tensors[1], *node.tensors[3:]),
    )
    widths = []
    for axis, out in enumerate((height, width)):
        before = size[axis] - 1 - forward.padding[axis][0]
        spread = (extent[axis] - 1) * stride[axis] + 1
        widths.append((before, out + size[axis] - 1 - before - spread))

    def product(values: Value, weights: Value, dtype: str, fill: int) -> Value:
        spaced = _spaced(node, values, stride, fill)
        cut = [(max(a, 0), max(b, 0)) for a, b in widths]
        padded = emit.pad(spaced, [(0, 0), *cut, (0, 0)], fill)
        for axis, (a, b) in enumerate(widths):
            whole = shape_of(padded)[axis + 1]
            padded = emit.slice(padded, axis + 1, max(-a, 0), whole - max(-b, 0))
        bare = Window((size[0], size[1]), (1, 1), (1, 1), ((0, 0), (0, 0)))
        return convolve(node, padded, weights, bare, 1, dtype)

    activation = options.FusedActivationFunction()
    return weighted(inner, kernel, product, activation, (0, 1, 2), (1, 2, 3))


def _flipped(node: Node, kernel: Value) -> Value:
    if not is_constant(kernel):
        raise Refusal("with a kernel that is computed")
    flipped: NDArray[Any] = kernel[::-1, ::-1]
    return flipped


def _spaced(node: Node, data: Value, stride: tuple[int, int], fill: float) -> Value:
    """`stride - 1` points of `fill` between each two points of height and width."""
    emit = node.emit
    batch, height, width, channels = shape_of(data)
    if stride == (1, 1):
        return data
    apart = emit.reshape(data, (batch, height, 1, width, 1, channels))
    gaps = [(0, 0), (0, 0), (0, stride[0] - 1), (0, 0), (0, stride[1] - 1), (0, 0)]
    wide = emit.reshape(
        emit.pad(apart, gaps, fill), (batch, height * stride[0], width * stride[1], channels)
    )
    rows = emit.slice(wide, 1, 0, (height - 1) * stride[0] + 1)
    return emit.slice(rows, 2, 0, (width - 1) * stride[1] + 1)


@rule("BATCH_MATMUL", quantised=itself)
def batch_matmul(node: Node) -> Value:
    """Matrix products over leading axes that broadcast."""
    options = node.options("BatchMatMulOptions")
    emit = node.emit
    a, b = node.value(0), node.value(1)
    if options.AdjX():
        a = _adjoint(node, a)
    if options.AdjY():
        b = _adjoint(node, b)
    first, second = node.tensors[0], node.tensors[1]
    # Channels of the second matrix are the result's columns.
    columns = second.scales.along(second.scales.scale, 1, 0) if second and second.scales else None
    if first is not None and second is not None and first.scales and second.scales:
        dtype = "int64" if dtype_of(a) == "int16" else "int32"
        wide = [
            emit("subtract", emit.cast(value, dtype), int(scales.zero_point[0]))
            for value, scales in ((a, first.scales), (b, second.scales))
        ]
        total = emit.matmul(wide[0], wide[1], dtype)
        factor = first.scales.scale[0] * columns / node.result_scales.scale[0]
        return q.rescale(emit, total, factor, node.result_scales, node.result.dtype)
    if second is not None and second.scales:
        data = q.dynamic(emit, a, (len(shape_of(a)) - 1,))
        total = data.summed(emit, lambda integers: emit.matmul(integers, b, "int32"))
        return emit("multiply", emit("multiply", emit.cast(total, "float32"), data.step), columns)
    return emit.matmul(a, b, dtype_of(a))


def _adjoint(node: Node, value: Value) -> Value:
    rank = len(shape_of(value))
    return node.emit.transpose(value, (*range(rank - 2), rank - 1, rank - 2))
