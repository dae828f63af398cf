"""Quantised operators of other widths than 8 bits against LiteRT: 16-bit data, 4-bit weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert import by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, const, write_graphs
from tflite_batch import Batch, Options, together


def wide(*shape: int, scale: float = 1 / 3000) -> T:
    return T(shape, "int16", scale=scale, zero=0)


POOL = ("Pool2DOptions", {"strideH": 1, "strideW": 2, "filterHeight": 2, "filterWidth": 3})
PICTURE = wide(1, 6, 7, 4)
# LiteRT looks these up in tables and mixes neighbours; the exact value lies this far from it.
BY_TABLE = 16

# Name, inputs, output, options, quanta allowed, version.
CASES: list[tuple[str, Sequence[T], T, Options, int, int]] = [
    ("ADD", [wide(9, 8), wide(9, 8)], wide(9, 8), ("AddOptions", {"potScaleInt16": False}), 1, 2),
    ("SUB", [wide(9, 8), wide(9, 8)], wide(9, 8), ("SubOptions", {"potScaleInt16": False}), 1, 2),
    ("MUL", [wide(9, 8), wide(9, 8)], wide(9, 8, scale=1 / 300), ("MulOptions", {}), 1, 2),
    ("MAXIMUM", [wide(9, 8), wide(9, 8)], wide(9, 8), None, 0, 2),
    ("RELU", [wide(9, 8)], wide(9, 8, scale=1 / 2000), None, 1, 3),
    ("LEAKY_RELU", [wide(9, 8)], wide(9, 8), ("LeakyReluOptions", {"alpha": 0.1}), 1, 2),
    ("QUANTIZE", [wide(9, 8)], wide(9, 8, scale=1 / 2000), None, 1, 2),
    ("TANH", [wide(9, 8)], wide(9, 8, scale=2**-15), None, BY_TABLE, 3),
    ("LOGISTIC", [wide(9, 8)], wide(9, 8, scale=2**-15), None, BY_TABLE, 3),
    ("SOFTMAX", [wide(9, 8)], wide(9, 8, scale=2**-15), ("SoftmaxOptions", {"beta": 1.0}), 16, 3),
    ("AVERAGE_POOL_2D", [PICTURE], wide(1, 6, 4, 4), POOL, 0, 3),
    ("MAX_POOL_2D", [PICTURE], wide(1, 6, 4, 4), POOL, 0, 3),
    ("MEAN", [PICTURE, const([1, 2])], wide(1, 4), ("ReducerOptions", {}), 1, 3),
    ("RESHAPE", [PICTURE, const([6, -1])], wide(6, 28), None, 0, 1),
    (
        "CONCATENATION",
        [PICTURE, PICTURE],
        wide(1, 6, 7, 8),
        ("ConcatenationOptions", {"axis": 3}),
        0,
        3,
    ),
    (
        "RESIZE_BILINEAR",
        [PICTURE, const([9, 12])],
        wide(1, 9, 12, 4),
        ("ResizeBilinearOptions", {"halfPixelCenters": True}),
        0,
        4,
    ),
    (
        "RESIZE_BILINEAR",
        [PICTURE, const([3, 12])],
        wide(1, 3, 12, 4),
        ("ResizeBilinearOptions", {"alignCorners": True}),
        0,
        4,
    ),
    (
        "BATCH_MATMUL",
        [wide(2, 3, 4), wide(2, 4, 5)],
        wide(2, 3, 5, scale=1 / 300),
        ("BatchMatMulOptions", {}),
        1,
        4,
    ),
]


@together(case=CASES)
def test_operators_of_16_bits(batch: Batch, case: Any) -> None:
    name, inputs, output, options, allowed, version = case
    batch.add(name, inputs, [output], options, allowed=allowed, version=version)


STRIDES = {"strideH": 1, "strideW": 1}
# Name, options, version, kernel, input, output, the kernel's axis of outputs.
PRODUCTS: dict[str, Any] = {
    "FULLY_CONNECTED": ("FullyConnectedOptions", {}, 9, (6, 16), (3, 16), (3, 6), 0),
    "CONV_2D": ("Conv2DOptions", STRIDES, 5, (6, 3, 3, 4), (1, 7, 8, 4), (1, 7, 8, 6), 0),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        {**STRIDES, "depthMultiplier": 1},
        5,
        (1, 3, 3, 4),
        (1, 7, 8, 4),
        (1, 7, 8, 4),
        3,
    ),
    "TRANSPOSE_CONV": (
        "TransposeConvOptions",
        STRIDES,
        4,
        (6, 3, 3, 4),
        (1, 7, 8, 4),
        (1, 7, 8, 6),
        0,
    ),
}


@together(name=list(PRODUCTS))
def test_matrix_products_of_16_bits(batch: Batch, name: str) -> None:
    class_name, fields, version, kernel, source, result, axis = PRODUCTS[name]
    random = np.random.default_rng(1)
    scales = random.random(kernel[axis]) * 0.01 + 0.005
    weight = const(random.integers(-127, 128, kernel), "int8", scale=scales, zero=0, axis=axis)
    numbers = random.integers(-(10**6), 10**6, kernel[axis])
    bias = const(numbers, "int64", scale=scales / 3000, zero=0)
    inputs = [wide(*source), weight, bias]
    if name == "TRANSPOSE_CONV":
        inputs = [const(result), weight, wide(*source), bias]
    output = wide(*result, scale=1 / 400)
    batch.add(name, inputs, [output], (class_name, fields), allowed=1, version=version)


@pytest.mark.parametrize("name", ["FULLY_CONNECTED", "CONV_2D"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_weights_of_4_bits(tmp_path: Path, name: str, dtype: str) -> None:
    class_name, fields, _, kernel, source, result, _ = PRODUCTS[name]
    random = np.random.default_rng(1)
    scales = random.random(6) * 0.05 + 0.05
    weight = const(random.integers(-7, 8, kernel), "int4", scale=scales, zero=0)
    x = random.standard_normal(source).astype(np.float32)
    tensors = [T(source), weight, const(random.standard_normal(6), "float32"), T(result)]
    if dtype == "int8":
        x = random.integers(-128, 128, source).astype(np.int8)
        bias = const(random.integers(-900, 900, 6), "int32", scale=scales * 0.05, zero=0)
        ends = [T(source, dtype, scale=0.05, zero=3), T(result, dtype, scale=0.2, zero=-7)]
        tensors = [ends[0], weight, bias, ends[1]]
    version = 10 if name == "FULLY_CONNECTED" else 7
    operator = Op(name, [0, 1, 2], [3], (class_name, fields), version=version)
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [operator], [0], [3]))
    allowed = 1 if dtype == "int8" else 2e-5
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) <= allowed
