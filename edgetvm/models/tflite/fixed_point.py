"""Real numbers as 16-bit integers, to the last bit as LiteRT's integer recurrent kernels have them.

What such a layer answers at one step goes into the next, and there a last bit may become whole
steps of the output. So products, sigmoid and tanh are those of gemmlowp's `fixedpoint.h`, on which
LiteRT's kernels stand: https://github.com/google/gemmlowp/blob/master/fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite.emitter import Emitter, Value
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.quantised import limits

LEAST, MOST = limits("int16")
# Of numbers with so many integer bits LiteRT knows the hyperbolic tangent.
TANH_BITS = range(7)

_Raw: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """A function of 16-bit integers f with f(-x) = whole - f(x).

    Attributes:
        values: for 0 to 2**15, int32.
        whole: as above.
    """

    values: NDArray[np.int32]
    whole: int

    def __call__(self, emit: Emitter, value: Value) -> Value:
        """The function of int32 numbers within 16 bits."""
        found = emit.take(self.values, emit("abs", value), 0)
        mirrored = emit("subtract", np.asarray(self.whole, np.int32), found)
        return emit.where(emit("less", value, 0), mirrored, found)


def multiplied(emit: Emitter, total: Value, factor: float) -> Value:
    """A sum (int32) by a positive factor, rounded twice, as `MultiplyByQuantizedMultiplier` does:
    to a multiple of a power of two, then to an integer."""
    fraction, exponent = math.frexp(factor)
    multiplier = round(fraction * 2**31)
    wide = emit.cast(total, "int64")
    wide = emit("left_shift", wide, exponent) if exponent > 0 else wide
    product = emit("add", emit("multiply", wide, multiplier), 2**30)
    return shifted(emit, emit.cast(emit("right_shift", product, 31), "int32"), max(-exponent, 0))


def rescaled(emit: Emitter, total: Value, factor: float, scales: Scales, dtype: str) -> Value:
    """A sum (int32) by a positive factor, as integers of another scale."""
    moved = emit("add", multiplied(emit, total, factor), int(scales.zero_point[0]))
    return emit.cast(emit.clip(moved, *limits(dtype)), dtype)


def shifted(emit: Emitter, value: Value, bits: int) -> Value:
    """Divided by a power of two, to the nearest, halves away from zero."""
    if bits <= 0:
        return emit("left_shift", value, -bits) if bits else value
    below = emit.cast(emit("less", value, 0), "int32")
    half = emit("subtract", emit("add", value, 1 << (bits - 1)), below)
    return emit("right_shift", half, bits)


@cache
def sigmoid() -> Curve:
    """Of numbers with 3 integer bits, as integers of 15 fraction bits."""
    inputs = np.arange(2**15 + 1)
    values = _up(_reciprocal(_exp(-inputs, 3)), 1)
    values[0] = 2**14
    return Curve(values.astype(np.int32), MOST)


@cache
def tanh(integer_bits: int) -> Curve:
    """Of numbers with so many integer bits, one of TANH_BITS, as integers of 15 fraction bits."""
    inputs = np.arange(2**15 + 1)
    values = _up(_wrapped(_reciprocal(_exp(-inputs, integer_bits + 1)) - 2**13), 2)
    values[0] = 0
    return Curve(values.astype(np.int32), 0)


def _exp(a: _Raw, integer_bits: int) -> _Raw:
    """e to numbers that are 0 or less: by their part below a quarter, and by factors for the bits
    above it."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    part = (a & (quarter - 1)) - quarter
    result, rest = _exp_of_part(_up(part, integer_bits)), _wrapped(part - a)
    for power in range(-2, min(integer_bits, 5)):
        factor = np.int64(np.rint(math.exp(-(2.0**power)) * 2**15))
        has_bit = rest & (1 << (fraction_bits + power)) != 0
        result = np.where(has_bit, _times(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(32 << fraction_bits), 0, result)
    return np.where(a == 0, MOST, result)


def _exp_of_part(a: _Raw) -> _Raw:
    """e to numbers from -1/4 to 0: four terms of its series around -1/8."""
    middle, third = (np.int64(np.rint(one * 2**15)) for one in (math.exp(-1 / 8), 1 / 3))
    x = a + 2**12
    square = _times(x, x)
    fourth = _down(_times(square, square), 2)
    terms = _down(_times(fourth + _times(square, x), third) + square, 1)
    power: _Raw = np.minimum(middle + _times(x + terms, middle), MOST)
    return power


def _reciprocal(a: _Raw) -> _Raw:
    """1 / (1 + a) of numbers from 0 to 1, twice that, with 2 integer bits: by Newton's steps."""
    half = (a + MOST + 1) >> 1
    first, slope = (np.int64(np.rint(one / 17 * 2**13)) for one in (48, -32))
    x = first + _times(half, slope)
    for _ in range(3):
        x = _wrapped(x + _up(_times(x, _wrapped(2**13 - _times(half, x))), 2))
    return x


def _times(a: _Raw, b: Any) -> _Raw:
    product: _Raw = (a * b + 2**14) >> 15
    return np.minimum(product, MOST)


def _up(a: _Raw, bits: int) -> _Raw:
    raised: _Raw = np.clip(a << bits, LEAST, MOST)
    return raised


def _down(a: _Raw, bits: int) -> _Raw:
    return (a + (1 << (bits - 1)) - (a < 0)) >> bits


def _wrapped(a: _Raw) -> _Raw:
    return ((a + 2**15) & 0xFFFF) - 2**15
