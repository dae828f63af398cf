"""Pooling, and normalisation over neighbouring channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, shape_of
from edgetvm.models.tflite.operators.convolutions import Window, convolve
from edgetvm.models.tflite.rules import Node, itself, rule


def _window(node: Node, options: Any) -> Window:
    _, height, width, _ = node.axes(0, 4)
    return Window.of(
        (height, width),
        (options.FilterHeight(), options.FilterWidth()),
        (options.StrideH(), options.StrideW()),
        options.Padding(),
    )


def _counts(node: Node, window: Window) -> NDArray[np.int64]:
    """How many points of the picture lie under the window, `[1, height, width, 1]`."""
    axes = []
    for axis in (0, 1):
        size, stride = window.size[axis], window.stride[axis]
        before, after = window.padding[axis]
        extent = node.shape(0)[axis + 1]
        steps = (extent + before + after - size) // stride + 1
        starts = node.emit.indices(steps, "int64") * stride - before
        axes.append(np.minimum(starts + size, extent) - np.maximum(starts, 0))
    node.emit.budget.constant((axes[0].size, axes[1].size), "int64")
    return np.asarray(axes[0][:, None] * axes[1][None, :], np.int64)[None, :, :, None]


def _sums(node: Node, value: Value, window: Window) -> Value:
    """Sums under the window, in the value's dtype."""
    channels = shape_of(value)[3]
    if window.size == shape_of(value)[1:3] and not any(map(sum, window.padding)):
        return node.emit.reduce("sum", value, (1, 2), keep=True)
    ones = node.emit.full((*window.size, 1, channels), 1, dtype_of(value))
    return convolve(node, value, ones, window, channels, dtype_of(value))


@rule("AVERAGE_POOL_2D", quantised=itself)
def average_pool_2d(node: Node) -> Value:
    """The mean of the points that lie in the picture."""
    options = node.options("Pool2DOptions")
    activation = options.FusedActivationFunction()
    window = _window(node, options)
    counts = _counts(node, window)
    emit, x = node.emit, node.value(0)
    if not node.is_quantised:
        sums = _sums(node, x, window)
        factor = (1 / counts).astype(dtype_of(x))
        return node.activated(emit("multiply", sums, factor), activation)
    total = _sums(node, emit.cast(x, "int32"), window)
    mean = _rounded_quotient(node, total, counts.astype(np.int32))
    within = q.clip_range(activation, node.result_scales, node.result.dtype)
    return emit.cast(emit.clip(mean, *within), node.result.dtype)


def _rounded_quotient(node: Node, total: Value, counts: NDArray[np.int32]) -> Value:
    """To the nearest integer, halves away from zero."""
    emit = node.emit
    half = emit("divide", counts, 2)
    away = emit.where(
        emit("less", total, 0), emit("subtract", total, half), emit("add", total, half)
    )
    return emit("divide", away, counts)


@rule("MAX_POOL_2D", quantised=itself)
def max_pool_2d(node: Node) -> Value:
    """The largest of the points that lie in the picture."""
    from tvm import relax

    options = node.options("Pool2DOptions")
    activation = options.FusedActivationFunction()
    window = _window(node, options)
    result = node.emit.relax(
        relax.op.nn.max_pool2d,
        node.value(0),
        pool_size=list(window.size),
        strides=list(window.stride),
        padding=window.relax_padding,
        layout="NHWC",
    )
    if not node.is_quantised:
        return node.activated(result, activation)
    result = q.requantise(node.emit, result, node.scales(0), node.result_scales, node.result.dtype)
    within = q.clip_range(activation, node.result_scales, node.result.dtype)
    return result if within == q.limits(node.result.dtype) else node.emit.clip(result, *within)


@rule("L2_POOL_2D")
def l2_pool_2d(node: Node) -> Value:
    """The root of the mean square."""
    options = node.options("Pool2DOptions")
    window = _window(node, options)
    emit, x = node.emit, node.value(0)
    sums = _sums(node, emit("multiply", x, x), window)
    factor = (1 / _counts(node, window)).astype(np.float32)
    root = emit("sqrt", emit("multiply", sums, factor))
    return node.activated(root, options.FusedActivationFunction())


@rule("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(node: Node) -> Value:
    """Each channel by a power of the squares of its neighbours."""
    options = node.options("LocalResponseNormalizationOptions")
    emit, x = node.emit, node.value(0)
    radius = options.Radius()
    channels = node.shape(0)[-1]
    if not radius >= 0:
        raise ValueError("a negative radius")
    emit.budget.constant((channels, channels), "int64")
    band = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels))) <= radius
    sums = emit.matmul(emit("multiply", x, x), band.astype(np.float32), "float32")
    base = emit("add", emit("multiply", sums, options.Alpha()), options.Bias())
    return emit("multiply", x, emit("power", base, -options.Beta()))


@rule("L2_NORMALIZATION")
def l2_normalization(node: Node) -> Value:
    """Divided by its length along the last axis."""
    emit, x = node.emit, node.value(0)
    last = (len(node.shape(0)) - 1,)
    length = emit("sqrt", emit.reduce("sum", emit("multiply", x, x), last, keep=True))
    value = emit("divide", x, emit.clip(length, 1e-6, np.inf))
    return node.activated(value, node.options("L2NormOptions").FusedActivationFunction())
