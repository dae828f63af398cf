"""Integers that stand for real numbers, rounded as LiteRT's default kernels round them.

LiteRT hands quantised operators to XNNPACK, which rescales 32-bit sums by one float32 factor and
rounds halves to even: the same results on every processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite.emitter import Emitter, Value, dtype_of, is_constant, shape_of
from edgetvm.models.tflite.file import Scales

# tflite.ActivationFunctionType to the bounds of the clip that it is.
CLIPS = {
    0: (-math.inf, math.inf),  # NONE
    1: (0.0, math.inf),  # RELU
    2: (-1.0, 1.0),  # RELU_N1_TO_1
    3: (0.0, 6.0),  # RELU6
}


def limits(dtype: str) -> tuple[int, int]:
    """The smallest and the largest number of an integer dtype."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def clip_range(activation: int, scales: Scales, dtype: str) -> tuple[int, int]:
    """What a fused activation leaves of the output's integers."""
    least, most = limits(dtype)
    low, high = CLIPS[activation]
    scale, zero = float(scales.scale[0]), int(scales.zero_point[0])
    if math.isfinite(low):
        least = max(least, zero + round(low / scale))
    if math.isfinite(high):
        most = min(most, zero + round(high / scale))
    return least, max(least, most)


def dequantise(emit: Emitter, value: Value, scales: Scales) -> Value:
    """The real numbers, float32."""
    rank = len(shape_of(value))
    real = emit.cast(value, "float32")
    if scales.zero_point.any():
        zero = scales.along(scales.zero_point.astype(np.float32), rank)
        real = emit("subtract", real, zero)
    return emit("multiply", real, scales.along(scales.scale, rank))


def quantise(emit: Emitter, value: Value, scales: Scales, dtype: str) -> Value:
    """The nearest integers for real numbers."""
    rank = len(shape_of(value))
    inverse = (np.float32(1) / scales.scale).astype(np.float32)
    scaled = emit("multiply", value, scales.along(inverse, rank))
    return settle(emit, scaled, scales.along(scales.zero_point, rank), dtype)


def settle(
    emit: Emitter,
    scaled: Value,
    zero_point: NDArray[np.int64] | int,
    dtype: str,
    within: tuple[int, int] | None = None,
) -> Value:
    """Real multiples of the output's scale, rounded, moved by the zero point and clipped."""
    least, most = within or limits(dtype)
    zero = np.asarray(zero_point).astype(dtype_of(scaled))
    rounded = emit("round", scaled)
    moved = emit("add", rounded, zero) if zero.any() else rounded
    return emit.cast(emit.clip(moved, least, most), dtype)


def rescale(
    emit: Emitter,
    total: Value,
    factor: NDArray[np.float32] | np.float32,
    scales: Scales,
    dtype: str,
    within: tuple[int, int] | None = None,
) -> Value:
    """A sum of integers, times a factor, as integers of the output's scale.

    Args:
        factor: in a shape that broadcasts over `total`.
    """
    real = "float64" if dtype_of(total) == "int64" else "float32"
    scaled = emit("multiply", emit.cast(total, real), np.asarray(factor, real))
    return settle(emit, scaled, int(scales.zero_point[0]), dtype, within)


def same(a: Scales | None, b: Scales | None) -> bool:
    """Whether two tensors' integers stand for the same numbers."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)


def requantise(emit: Emitter, value: Value, scales: Scales, result: Scales, dtype: str) -> Value:
    """Integers of one quantisation as integers of another."""
    if same(scales, result) and dtype_of(value) == dtype:
        return value
    wide = emit.cast(value, "int32")
    centred = emit("subtract", wide, int(scales.zero_point[0]))
    factor = (scales.scale / result.scale).astype(np.float32)
    if factor[0] == 1:
        moved = emit("add", centred, int(result.zero_point[0]))
        return emit.cast(emit.clip(moved, *limits(dtype)), dtype)
    return rescale(emit, centred, factor, result, dtype)


def codes(dtype: str) -> NDArray[np.generic]:
    """Every integer of an 8-bit dtype, in order."""
    least, most = limits(dtype)
    return np.arange(least, most + 1).astype(dtype)


def looked_up(emit: Emitter, value: Value, table: Value) -> Value:
    """For each 8-bit integer its entry in a table of 256, the smallest integer's first."""
    if is_constant(value):
        return table[value.astype(np.int64) - limits(value.dtype.name)[0]]
    least = limits(dtype_of(value))[0]
    index = emit.cast(value, "int32")
    return emit.take(table, emit("subtract", index, least) if least else index, 0)


@dataclass(frozen=True)
class Dynamic:
    """Real numbers as integers of a scale that they gave themselves.

    Attributes:
        integers: int8.
        zero: their zero point, int32; None where it is 0. It broadcasts, as the step does.
        step: what 1 stands for.
    """

    integers: Value
    zero: Value | None
    step: Value

    def summed(self, emit: Emitter, product: Callable[[Value], Value]) -> Value:
        """A sum of products (int32) with the integers less their zero point.

        Args:
            product: from int8 integers to their sum of products.
        """
        total = product(self.integers)
        if self.zero is None:
            return total
        whole = product(np.ones((1, *shape_of(self.integers)[1:]), np.int8))
        return emit("subtract", total, emit("multiply", self.zero, whole))


def dynamic(emit: Emitter, value: Value, axes: Sequence[int], symmetric: bool = False) -> Dynamic:
    """Real numbers as integers of a scale that they give themselves, as hybrid operators do.

    Args:
        axes: that share a scale.
        symmetric: without a zero point.
    """
    one = np.ones((), np.float32)
    low = emit.clip(emit.reduce("min", value, axes, keep=True), -math.inf, 0)
    high = emit.clip(emit.reduce("max", value, axes, keep=True), 0, math.inf)
    if symmetric:
        reach = emit("maximum", emit("negative", low), high)
        factor = _quotient(emit, 127, reach)
        integers = emit.clip(emit("round", emit("multiply", value, factor)), -127, 127)
        return Dynamic(emit.cast(integers, "int8"), None, emit("divide", one, factor))
    factor = _quotient(emit, 255, emit("subtract", high, low))
    below, above = emit("multiply", low, factor), emit("multiply", high, factor)
    # The zero point is rounded from the end that then lies nearer.
    error = emit("add", emit("add", below, -128), emit("add", above, 127))
    zero = emit.where(
        emit("greater", error, 0),
        emit("subtract", np.asarray(-128, np.float32), below),
        emit("subtract", np.asarray(127, np.float32), above),
    )
    zero = emit("round", emit.clip(zero, -128, 127))
    moved = emit("add", emit("round", emit("multiply", value, factor)), zero)
    integers = emit.cast(emit.clip(moved, -128, 127), "int8")
    return Dynamic(integers, emit.cast(zero, "int32"), emit("divide", one, factor))


def _quotient(emit: Emitter, steps: int, reach: Value) -> Value:
    """`steps / reach`, or 1 where all is zero."""
    empty = emit("equal", reach, 0)
    quotient = emit("divide", np.asarray(steps, np.float32), reach)
    return emit.where(empty, np.ones((), np.float32), quotient)
