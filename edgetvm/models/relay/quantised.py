"""QNN operators and what `relay.quantize` makes, in the integers that TVM computes them in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.elementwise import away_from_zero, clip_to, relax, rounded
from edgetvm.models.relay.neural import convolve, convolve_transposed, multiply_matrices, swapped
from edgetvm.models.relay.shapes import concatenate, fields_of


def fixed_point(multiplier: float) -> tuple[int, int]:
    """A positive number as (m, s): m / 2^31 · 2^s, m of 31 bits."""
    if not multiplier or not math.isfinite(multiplier):
        return 0, 0
    fraction, exponent = math.frexp(multiplier)
    mantissa = math.floor(fraction * (1 << 31) + 0.5)
    if mantissa == 1 << 31:
        mantissa, exponent = mantissa // 2, exponent + 1
    return mantissa, exponent


def _range(dtype: str) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _spread(builder: Builder, value: Any, rank: int, axis: int) -> Any:
    """A scale or zero point, one or one a channel, to broadcast with the data."""
    if rank == 0 or math.prod(builder.shape(value)) == 1:
        return builder.reshape(value, ())
    return builder.along(value, rank, builder.axis(axis, rank))


def _known_spread(
    builder: Builder, rank: int, axis: int, *values: Any
) -> list[NDArray[Any]] | None:
    """The same for constants, as arrays; None where one is computed at run time."""
    made = []
    for value in values:
        array = builder.array(value)
        if array is None:
            return None
        shape = [1] * rank
        if rank and array.size > 1:
            shape[builder.axis(axis, rank)] = array.size
        made.append(array.reshape(shape if array.size > 1 else ()))
    return made


def _is_zero(builder: Builder, value: Any) -> bool:
    array = builder.array(value)
    return array is not None and not array.any()


def shifted_product(
    builder: Builder, value: Any, mantissas: Any, exponents: NDArray[Any], to_nearest: bool
) -> Any:
    """value · m / 2^31 · 2^s, exactly, then rounded: halves up, or away from zero."""
    wide = builder.cast(value, "int64")
    left, right = np.maximum(exponents, 0), 31 - np.minimum(exponents, 0)
    if left.any():
        wide = builder.binary("left_shift", wide, builder.const(left, "int64"))
    product = builder.binary("multiply", wide, builder.const(mantissas, "int64"))
    # A product has less than 63 bits: to shift it by more leaves nothing.
    right = np.minimum(right, 62)
    half = builder.const(np.left_shift(np.int64(1), (right - 1).astype(np.int64)), "int64")
    if to_nearest:
        below = builder.binary("less", product, builder.const(0, "int64"))
        half = builder.binary("subtract", half, builder.cast(below, "int64"))
    product = builder.binary("add", product, half)
    return builder.binary("right_shift", product, builder.const(right, "int64"))


def requantized(
    builder: Builder,
    data: Any,
    scales: tuple[Any, Any],
    zeros: tuple[Any, Any],
    out_dtype: str,
    axis: int = -1,
    rounding: str = "UPWARD",
) -> Any:
    """Integers of one scale and zero point as integers of another, clipped to their dtype."""
    rank = builder.rank(data)
    value = builder.cast(data, "int32")
    if not _is_zero(builder, zeros[0]):
        zero = builder.cast(_spread(builder, zeros[0], rank, axis), "int32")
        value = builder.binary("subtract", value, zero)
    old, new = (builder.array(scale) for scale in scales)
    if old is not None and new is not None and new.size == 1:
        ratios = old.astype("float64").reshape(-1) / float(new.reshape(()))
        if not np.isfinite(ratios).all() or (ratios < 0).any():
            raise malformed("a scale that is not a positive number")
        if not (ratios == 1).all():
            pairs = [fixed_point(float(ratio)) for ratio in ratios]
            mantissas, exponents = (
                np.array(column, "int64") for column in zip(*pairs, strict=True)
            )
            shape = [1] * rank
            if len(pairs) > 1:
                shape[builder.axis(axis, rank)] = len(pairs)
            mantissas, exponents = (
                a.reshape(shape if rank else ()) for a in (mantissas, exponents)
            )
            nearest = rounding == "TONEAREST"
            value = shifted_product(builder, value, mantissas, exponents, nearest)
    else:  # scales that a run computes: the same in floating point
        ratio = builder.binary("divide", *scales)
        wide = builder.cast(value, "float32")
        wide = builder.binary("multiply", wide, _spread(builder, ratio, rank, axis))
        wide = builder.binary("add", wide, builder.scalar(0.5, wide))
        value = builder.cast(builder.emit(builder.op.floor(wide)), "int32")
    if not _is_zero(builder, zeros[1]):
        zero = builder.cast(builder.reshape(zeros[1], ()), builder.dtype(value))
        value = builder.binary("add", value, zero)
    return builder.cast(clip_to(builder, value, *_range(out_dtype)), out_dtype)


def requantize(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.requantize. Its rounding is UPWARD where the file says none, as in TVM."""
    data, in_scale, in_zero, out_scale, out_zero = arguments[:5]
    return requantized(
        builder,
        data,
        (in_scale, out_scale),
        (in_zero, out_zero),
        attributes.dtype("out_dtype", "int8"),
        attributes.integer("axis", -1),
        attributes.text("rounding", "UPWARD"),
    )


def quantized(
    builder: Builder, data: Any, scale: Any, zero: Any, dtype: str, axis: int = -1
) -> Any:
    """Floats as integers."""
    rank = builder.rank(data)
    numbers = builder.array(data)
    known = _known_spread(builder, rank, axis, scale, zero)
    if numbers is not None and known is not None:
        s, z = known
        whole = rounded(numbers / s) + z.astype(numbers.dtype)
        return builder.const(np.clip(whole, *_range(dtype)), dtype)
    value = builder.binary("divide", data, _spread(builder, scale, rank, axis))
    value = away_from_zero(builder, value)
    if not _is_zero(builder, zero):
        offset = builder.cast(_spread(builder, zero, rank, axis), builder.dtype(value))
        value = builder.binary("add", value, offset)
    least, most = _range(dtype)
    if dtype == "int32":  # the largest float32 below 2^31
        most = 2147483520
    value = builder.emit(builder.op.clip(value, float(least), float(most)))
    return builder.cast(value, dtype)


def quantize(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.quantize."""
    data, scale, zero = arguments[:3]
    dtype = attributes.dtype("out_dtype", "int8")
    return quantized(builder, data, scale, zero, dtype, attributes.integer("axis", -1))


def dequantized(builder: Builder, data: Any, scale: Any, zero: Any, axis: int = -1) -> Any:
    """Integers as floats."""
    rank = builder.rank(data)
    integers = builder.array(data)
    known = _known_spread(builder, rank, axis, scale, zero)
    if integers is not None and known is not None:
        s, z = known
        numbers = (integers.astype("int32") - z.astype("int32")).astype("float32") * s
        return builder.const(numbers, "float32")
    value = builder.cast(data, "int32")
    if not _is_zero(builder, zero):
        offset = builder.cast(_spread(builder, zero, rank, axis), "int32")
        value = builder.binary("subtract", value, offset)
    value = builder.cast(value, "float32")
    return builder.binary("multiply", value, _spread(builder, scale, rank, axis))


def dequantize(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.dequantize."""
    data, scale, zero = arguments[:3]
    result = dequantized(builder, data, scale, zero, attributes.integer("axis", -1))
    return builder.cast(result, attributes.dtype("out_dtype", "float32"))


# Arithmetic on two quantised tensors: data, data, then scale and zero point of each and the result.


def _same(builder: Builder, left: Any, right: Any) -> bool:
    a, b = builder.array(left), builder.array(right)
    return left is right or (a is not None and b is not None and np.array_equal(a, b))


def added(name: str) -> Lowering:
    """qnn.add and qnn.subtract."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        left, right, scale_l, zero_l, scale_r, zero_r, scale, zero = arguments[:8]
        dtype = builder.dtype(left)
        sides = []
        for side, (data, s, z) in (
            ("lhs", (left, scale_l, zero_l)),
            ("rhs", (right, scale_r, zero_r)),
        ):
            if _same(builder, s, scale) and _same(builder, z, zero):
                sides.append(builder.cast(data, "int32"))
                continue
            axis = attributes.integer(f"{side}_axis", -1)
            sides.append(
                builder.cast(
                    requantized(builder, data, (s, scale), (z, zero), "int32", axis), "int32"
                )
            )
        total = builder.binary(name, *sides)
        if not _is_zero(builder, zero):
            offset = builder.cast(builder.reshape(zero, ()), "int32")
            total = builder.binary("subtract" if name == "add" else "add", total, offset)
        return builder.cast(clip_to(builder, total, *_range(dtype)), dtype)

    return lower


def multiplied(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.mul."""
    left, right, scale_l, zero_l, scale_r, zero_r, scale, zero = arguments[:8]
    dtype = builder.dtype(left)
    sides = [_centred(builder, left, zero_l), _centred(builder, right, zero_r)]
    product = builder.binary("multiply", *(builder.cast(side, "int32") for side in sides))
    both = _product(builder, scale_l, scale_r)
    none = builder.const(0, "int32")
    return requantized(builder, product, (both, scale), (none, zero), dtype)


def _product(builder: Builder, left: Any, right: Any) -> Any:
    arrays = builder.all_arrays(left, right)
    if arrays is not None:
        return builder.const(arrays[0] * arrays[1], "float32")
    return builder.binary("multiply", left, right)


def _centred(builder: Builder, value: Any, zero: Any, axis: int = 0) -> Any:
    """Less its zero point; 8 bits stay 8 bits where there is none."""
    if _is_zero(builder, zero):
        return value
    narrow = builder.dtype(value) in ("int8", "uint8")
    dtype = "int16" if narrow and builder.array(zero) is not None else "int32"
    offset = builder.cast(_spread(builder, zero, builder.rank(value), axis), dtype)
    return builder.binary("subtract", builder.cast(value, dtype), offset)


def conv2d(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.conv2d: sums in int32, of the scale that is the product of both."""
    data, kernel, zero_data, zero_kernel = arguments[:4]
    layout = attributes.text("kernel_layout", "OIHW")
    data = _centred(builder, data, zero_data)
    kernel = _centred(builder, kernel, zero_kernel, max(layout.find("O"), 0))
    dtype = attributes.dtype("out_dtype", "int32")
    return convolve(builder, data, kernel, attributes, 2, dtype)


def conv2d_transpose(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """qnn.conv2d_transpose."""
    data, kernel, zero_data, zero_kernel = arguments[:4]
    layout = attributes.text("kernel_layout", "IOHW")
    data = _centred(builder, data, zero_data)
    kernel = _centred(builder, kernel, zero_kernel, max(layout.find("O"), 0))
    dtype = attributes.dtype("out_dtype", "int32")
    return convolve_transposed(builder, data, kernel, attributes, 2, dtype)


def dense(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.dense and qnn.batch_matmul: the right side is transposed."""
    data, weight, zero_data, zero_weight = arguments[:4]
    data = _centred(builder, data, zero_data)
    weight = _centred(builder, weight, zero_weight, 0)
    dtype = attributes.dtype("out_dtype", "int32")
    return multiply_matrices(builder, data, swapped(builder, weight), dtype)


def joined(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """qnn.concatenate."""
    values, scales, zeros = (fields_of(argument) for argument in arguments[:3])
    scale, zero = arguments[3:5]
    parts = [
        value
        if _same(builder, s, scale) and _same(builder, z, zero)
        else requantized(builder, value, (s, scale), (z, zero), builder.dtype(value))
        for value, s, z in zip(values, scales, zeros, strict=True)
    ]
    return concatenate(builder, (tuple(parts),), attributes)


def through_float(compute: Lowering) -> Lowering:
    """An operator on data, scale, zero point, and scale and zero point of the result."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, scale, zero, out_scale, out_zero = arguments[:5]
        value = compute(builder, (dequantized(builder, data, scale, zero),), attributes)
        return quantized(builder, value, out_scale, out_zero, builder.dtype(data))

    return lower


def function(name: str) -> Lowering:
    """The operator of Relax of that name, on quantised data."""
    return through_float(relax(name, 1))


def hard_swish(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """x · clip(x + 3, 0, 6) / 6."""
    value = arguments[0]
    gate = builder.binary("add", value, builder.scalar(3, value))
    gate = builder.emit(builder.op.clip(gate, 0.0, 6.0))
    product = builder.binary("multiply", value, gate)
    return builder.binary("multiply", product, builder.scalar(1 / 6, value))


# relay.quantize.


def simulated(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """relay.op.annotation.simulated_quantize: what a model has before it is realised."""
    data, scale, least, most = arguments[:4]
    if attributes.integer("kind", 1) == 0:  # annotated, and passed through
        return data
    value = builder.binary("divide", data, scale)
    value = builder.binary("maximum", builder.binary("minimum", value, most), least)
    if attributes.text("rounding", "round") == "round":
        value = away_from_zero(builder, value)
    return builder.binary("multiply", value, scale)


def simulated_quantize(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """qnn.simulated_quantize: floats that hold integers. Codes of dtypes are TVM's."""
    data, code, scale, zero = arguments[:4]
    dtype = _simulated_dtype(builder, code)
    if not dtype:
        return data
    whole = quantized(builder, data, scale, zero, dtype, attributes.integer("axis", -1))
    return builder.cast(whole, builder.dtype(data))


def simulated_dequantize(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """qnn.simulated_dequantize."""
    data, code, scale, zero = arguments[:4]
    if not _simulated_dtype(builder, code):
        return data
    rank, axis = builder.rank(data), attributes.integer("axis", -1)
    offset = builder.cast(_spread(builder, zero, rank, axis), builder.dtype(data))
    value = builder.binary("subtract", data, offset)
    return builder.binary("multiply", value, _spread(builder, scale, rank, axis))


def _simulated_dtype(builder: Builder, code: Any) -> str:
    number = int(builder.known(code, "a simulated dtype").reshape(-1)[0])
    if number not in (0, 1, 2, 3):
        raise malformed(f"a simulated dtype of code {number}")
    return ("", "int8", "uint8", "int32")[number]


def fixed_point_multiply(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """value · m / 2^31 · 2^s, halves up."""
    mantissa, exponent = attributes.integer("multiplier"), attributes.integer("shift")
    shift = np.array(max(min(exponent, 31), -62))
    result = shifted_product(builder, arguments[0], np.array(mantissa), shift, False)
    return builder.cast(result, "int32")


def fixed_point_multiply_per_axis(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """The same, with a multiplier and shifts for each channel."""
    data, mantissa, left, right = arguments[:4]
    rank = builder.rank(data)
    axes = attributes.integers("axes", [0]) or [0]
    arrays = [builder.known(value, "a fixed-point factor") for value in (mantissa, left, right)]
    shape = [1] * rank
    if arrays[0].size > 1:
        shape[builder.axis(axes[0], rank)] = arrays[0].size
    factor, up, down = (array.astype("int64").reshape(shape) for array in arrays)
    result = shifted_product(builder, data, factor, up - down, False)
    return builder.cast(result, "int32")
