"""Sums of 8-bit integers in 32 bits, where a graph has sums of what they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.integers.matching import Dequantised, Floats, Matcher
from edgetvm.compile.integers.weights import integer_weights
from edgetvm.compile.layout.stored import constant, is_constant, shape_of

Emit = Callable[[Any], Any]
Summed = tuple[Any, Floats]

# Beyond this a sum of products of 8 bits may not fit in 32.
_MOST_PRODUCTS = 1 << 15


def summed(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    """The 32-bit sums that a call is a multiple of, and the factor; None where there are none."""
    make = _SUMS.get(getattr(call.op, "name", ""))
    return None if make is None else make(call, matcher, emit)


def _convolution(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    from tvm import relax

    attrs = call.attrs
    layout, kernel = str(attrs.data_layout), str(attrs.kernel_layout)
    if not (layout.endswith("C") and kernel.endswith("IO")):
        return None
    found = _operands(call, matcher)
    if found is None:
        return None
    data, weights, scales = found
    padding = [int(one) for one in attrs.padding]
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    sums = make(
        _bordered(data, padding, emit),
        constant(_narrow(weights)),
        strides=attrs.strides,
        padding=0,
        dilation=attrs.dilation,
        groups=int(attrs.groups),
        data_layout=layout,
        kernel_layout=kernel,
        out_dtype="int32",
    )
    return _centred(sums, data, weights, emit), scales * data.scale


def _product(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    from tvm import relax

    found = _operands(call, matcher)
    if found is None:
        return None
    data, weights, scales = found
    if weights.ndim > 2 and math.prod(weights.shape[:-2]) > 1:
        return None
    sums = relax.op.matmul(data.integers, constant(_narrow(weights)), out_dtype="int32")
    return _centred(sums, data, weights, emit), scales * data.scale


def _operands(call: Any, matcher: Matcher) -> tuple[Dequantised, NDArray[np.int16], Floats] | None:
    """Data, integer weights and their scales."""
    if not is_constant(call.args[1]):
        return None
    array = call.args[1].value.numpy()
    if array.dtype != np.float32 or array.ndim < 2 or not array.size:
        return None
    data = matcher.dequantised(call.args[0])
    if data is None or math.prod(array.shape[:-1]) > _MOST_PRODUCTS:
        return None
    found = integer_weights(array)
    return None if found is None else (data, *found)


def _bordered(data: Dequantised, padding: list[int], emit: Emit) -> Any:
    """The integers with a border of those that stand for zero."""
    from tvm import relax

    if not any(padding):
        return data.integers
    rank = len(padding) // 2
    pairs = zip(padding[:rank], padding[rank:], strict=True)
    widths = [0, 0, *(one for pair in pairs for one in pair), 0, 0]
    return emit(relax.op.nn.pad(data.integers, widths, "constant", float(data.zero_point)))


def _centred(sums: Any, data: Dequantised, weights: NDArray[np.int16], emit: Emit) -> Any:
    """The sums without what the data's zero point has added to them."""
    from tvm import relax

    if not data.zero_point:
        return sums
    axes = tuple(range(weights.ndim - 1))
    moved = -data.zero_point * weights.astype(np.int64).sum(axis=axes)
    return relax.op.add(emit(sums), constant(moved.astype(np.int32)))


def _narrow(weights: NDArray[np.int16]) -> NDArray[Any]:
    """As int8 where they fit."""
    fits = weights.min() >= -128 and weights.max() <= 127
    return weights.astype(np.int8) if fits else weights


def _mean(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    data = matcher.dequantised(call.args[0])
    if data is None:
        return None
    shape = shape_of(data.integers) or ()
    given = call.attrs.axis
    axes = [int(axis) % len(shape) for axis in (range(len(shape)) if given is None else given)]
    return _total(data, axes, bool(call.attrs.keepdims), emit)


def _global_pool(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    """Adaptive average pooling to a single element."""
    data, result = matcher.dequantised(call.args[0]), shape_of(call)
    layout = str(call.attrs.layout)
    axes = [axis for axis, letter in enumerate(layout) if letter not in "NC"]
    if data is None or result is None or any(result[axis] != 1 for axis in axes):
        return None
    return _total(data, axes, True, emit)


def _total(data: Dequantised, axes: list[int], keep: bool, emit: Emit) -> Summed | None:
    from tvm import relax

    shape = shape_of(data.integers) or ()
    count = math.prod(shape[axis] for axis in axes)
    if not 0 < count <= 1 << 23:
        return None
    wide = emit(relax.op.astype(data.integers, "int32"))
    total = relax.op.sum(wide, axes, keep)
    if data.zero_point:
        zero = relax.const(data.zero_point * count, "int32")
        total = relax.op.subtract(emit(total), zero)
    return total, np.asarray(data.scale / np.float32(count), np.float32)


def _average_pool(call: Any, matcher: Matcher, emit: Emit) -> Summed | None:
    """As a depthwise convolution by ones; what is averaged differs along a border that is none."""
    from tvm import relax

    data, result = matcher.dequantised(call.args[0]), shape_of(call)
    attrs = call.attrs
    if data is None or result is None or str(attrs.layout) != "NHWC":
        return None
    taps, strides, dilation, padding = (
        [int(one) for one in given]
        for given in (attrs.pool_size, attrs.strides, attrs.dilation, attrs.padding)
    )
    shape = shape_of(data.integers) or ()
    before, counts, after = padding[:2], [], []
    for axis in range(2):
        starts = np.arange(result[axis + 1]) * strides[axis] - before[axis]
        places = starts[:, None] + np.arange(taps[axis]) * dilation[axis]
        after.append(max(0, int(places.max()) + 1 - shape[axis + 1]))
        end = shape[axis + 1] + padding[axis + 2] if attrs.count_include_pad else shape[axis + 1]
        start = -before[axis] if attrs.count_include_pad else 0
        counts.append(((places >= start) & (places < end)).sum(axis=1))
    divisors = np.multiply.outer(*counts)
    if not divisors.all():
        return None
    channels = shape[-1]
    ones = np.ones((*taps, 1, channels), np.int16)
    sums = relax.op.nn.conv2d(
        _bordered(data, [*before, *after], emit),
        constant(ones.astype(np.int8)),
        strides=strides,
        dilation=dilation,
        groups=channels,
        data_layout="NHWC",
        kernel_layout="HWIO",
        out_dtype="int32",
    )
    factor = (data.scale / divisors.astype(np.float32)).astype(np.float32)
    if len(np.unique(factor)) == 1:
        factor = factor[:1, :1]
    return _centred(sums, data, ones, emit), factor[None, :, :, None]


_SUMS: dict[str, Callable[[Any, Matcher, Emit], Summed | None]] = {
    "relax.nn.conv1d": _convolution,
    "relax.nn.conv2d": _convolution,
    "relax.nn.conv3d": _convolution,
    "relax.matmul": _product,
    "relax.mean": _mean,
    "relax.nn.adaptive_avg_pool2d": _global_pool,
    "relax.nn.avg_pool2d": _average_pool,
}
