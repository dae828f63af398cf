"""Sums of 8-bit integers in 32 bits, where a graph has sums of what they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.integers.matching import Dequantised, Floats, Matcher
from edgetvm.compile.integers.weights import integer_weights
from edgetvm.compile.layout.stored import constant, is_constant, shape_of

Emit = Callable[[Any], Any]


@dataclass(frozen=True)
class Shuffle:
    """Features that are put beside their point: reshaped, permuted, reshaped."""

    apart: tuple[int, ...]
    axes: tuple[int, ...]
    together: tuple[int, ...]

    def on(self, value: Any, emit: Emit) -> Any:
        """The tensor so changed."""
        from tvm import relax

        apart = emit(relax.op.reshape(value, list(self.apart)))
        turned = emit(relax.op.permute_dims(apart, list(self.axes)))
        return relax.op.reshape(turned, list(self.together))


@dataclass(frozen=True)
class Summed:
    """Sums that a tensor is a multiple of.

    Attributes:
        sums: of 32 bits.
        factor: broadcasts with them.
        shuffle: what is done to the product.
    """

    sums: Any
    factor: Floats
    shuffle: Shuffle | None = None


# Beyond this a sum of products of 8 bits may not fit in 32.
_MOST_PRODUCTS = 1 << 15


def summed(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    """The 32-bit sums that a call is a multiple of, and the factor; None where there are none."""
    make = _SUMS.get(getattr(call.op, "name", ""))
    return None if make is None else make(call, matcher, builder)


def _convolution(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    from tvm import relax

    attrs = call.attrs
    layout, kernel = str(attrs.data_layout), str(attrs.kernel_layout)
    if not (layout.endswith("C") and kernel.endswith("IO")):
        return None
    if str(attrs.out_layout) not in ("", layout):
        return None
    found = _operands(call, matcher)
    if found is None:
        return None
    data, weights, scales = found
    padding = [int(one) for one in attrs.padding]
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    sums = make(
        _bordered(data, padding, builder.emit),
        constant(_narrow(weights)),
        strides=attrs.strides,
        padding=0,
        dilation=attrs.dilation,
        groups=int(attrs.groups),
        data_layout=layout,
        kernel_layout=kernel,
        out_dtype="int32",
    )
    return Summed(_centred(sums, data, weights, builder.emit), scales * data.scale)


def _product(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    from tvm import relax

    found = _operands(call, matcher)
    if found is None:
        return None
    data, weights, scales = found
    if weights.ndim > 2 and math.prod(weights.shape[:-2]) > 1:
        return None
    sums = relax.op.matmul(data.integers, constant(_narrow(weights)), out_dtype="int32")
    return Summed(_centred(sums, data, weights, builder.emit), scales * data.scale)


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


def _mean(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    data = matcher.dequantised(call.args[0])
    if data is None:
        return None
    shape = shape_of(data.integers) or ()
    given = call.attrs.axis
    axes = [int(axis) % len(shape) for axis in (range(len(shape)) if given is None else given)]
    return _total(data, axes, bool(call.attrs.keepdims), builder)


def _global_pool(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    """Adaptive average pooling to a single element."""
    data, result = matcher.dequantised(call.args[0]), shape_of(call)
    layout = str(call.attrs.layout)
    axes = [axis for axis, letter in enumerate(layout) if letter not in "NC"]
    if data is None or result is None or any(result[axis] != 1 for axis in axes):
        return None
    return _total(data, axes, True, builder)


def _total(data: Dequantised, axes: list[int], keep: bool, builder: Any) -> Summed | None:
    from tvm import relax, topi

    shape = shape_of(data.integers) or ()
    count = math.prod(shape[axis] for axis in axes)
    if not 0 < count <= 1 << 23:
        return None
    # One kernel that reads bytes: a cast of its own would be fused into what made them.
    total = builder.call_te(
        lambda integers: topi.sum(integers.astype("int32"), axes, keep),
        data.integers,
        primfunc_name_hint="sum_int8",
    )
    if data.zero_point:
        zero = relax.const(data.zero_point * count, "int32")
        total = relax.op.subtract(builder.emit(total), zero)
    return Summed(total, np.asarray(data.scale / np.float32(count), np.float32))


def _average_pool(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
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
        _bordered(data, [*before, *after], builder.emit),
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
    return Summed(_centred(sums, data, ones, builder.emit), factor[None, :, :, None])


def _transposed(call: Any, matcher: Matcher, builder: Any) -> Summed | None:
    """Where each element of the output sees one of the input: a product, its features shuffled."""
    from tvm import relax

    attrs, weights = call.attrs, call.args[1]
    layout, kernel = str(attrs.data_layout), str(attrs.kernel_layout)
    result, spatial = shape_of(call), layout[1:-1]
    if (
        result is None
        or not is_constant(weights)
        or layout != f"N{spatial}C"
        or kernel != f"IO{spatial}"
        or int(attrs.groups) != 1
        or any(int(one) for one in (*attrs.padding, *attrs.output_padding))
        or any(int(one) != 1 for one in attrs.dilation)
    ):
        return None
    array, data = weights.value.numpy(), matcher.dequantised(call.args[0])
    inputs, features, *taps = array.shape
    if data is None or array.dtype != np.float32 or taps != [int(one) for one in attrs.strides]:
        return None
    by_feature = np.moveaxis(array, 1, -1).reshape(-1, features)
    found = integer_weights(np.ascontiguousarray(by_feature))
    if found is None or inputs > _MOST_PRODUCTS:
        return None
    integers, scales = found
    every = math.prod(taps)
    matrix = integers.reshape(inputs, every * features)
    sums = relax.op.matmul(data.integers, constant(_narrow(matrix)), out_dtype="int32")
    batch, *size, _ = shape_of(data.integers) or ()
    rank = len(taps)
    pairs = [axis for at in range(rank) for axis in (1 + at, 1 + rank + at)]
    shuffle = Shuffle((batch, *size, *taps, features), (0, *pairs, 1 + 2 * rank), result)
    factor = np.tile(scales * data.scale, every)
    return Summed(_centred(sums, data, matrix, builder.emit), factor, shuffle)


_SUMS: dict[str, Callable[[Any, Matcher, Any], Summed | None]] = {
    "relax.nn.conv1d": _convolution,
    "relax.nn.conv2d": _convolution,
    "relax.nn.conv3d": _convolution,
    "relax.nn.conv2d_transpose": _transposed,
    "relax.nn.conv1d_transpose": _transposed,
    "relax.matmul": _product,
    "relax.mean": _mean,
    "relax.nn.adaptive_avg_pool2d": _global_pool,
    "relax.nn.avg_pool2d": _average_pool,
}
