"""Quantised operators of other widths than 8 bits against LiteRT: 16-bit data, 4-bit weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert import by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, const, write_graphs
from tflite_batch import Batch, together


def of_16_bits(shape: tuple[int, ...], scale: float = 1 / 3000) -> T:
    return T(shape, "int16", scale=scale, zero=0)


@together(name=["ADD", "SUB", "MUL", "MAXIMUM", "SQUARED_DIFFERENCE", "DIV"])
def test_arithmetic_of_16_bits(batch: Batch, name: str) -> None:
    if name in ("SQUARED_DIFFERENCE", "DIV"):
        return  # LiteRT has none
    options = {
        "ADD": ("AddOptions", {"potScaleInt16": False}),
        "SUB": ("SubOptions", {"potScaleInt16": False}),
        "MUL": ("MulOptions", {}),
    }.get(name)
    scale = 1 / 3000
    tensors = [of_16_bits((1, 9, 8)), of_16_bits((1, 9, 8), scale)]
    out = of_16_bits((1, 9, 8), 1 / 300 if name == "MUL" else scale)
    batch.add(name, tensors, [out], options, allowed=1, version=2)


@together(name=["RELU", "LEAKY_RELU", "TANH", "LOGISTIC", "SOFTMAX", "QUANTIZE", "HARD_SWISH"])
def test_functions_of_16_bits(batch: Batch, name: str) -> None:
    options: Any = {
        "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.1}),
        "SOFTMAX": ("SoftmaxOptions", {"beta": 1.0}),
    }.get(name)
    if name == "HARD_SWISH":
        return
    scale = {"TANH": 1 / 32768, "LOGISTIC": 1 / 32768, "SOFTMAX": 1 / 32768}.get(name, 1 / 2000)
    allowed = {"TANH": 5, "LOGISTIC": 5, "SOFTMAX": 5}.get(name, 1)
    batch.add(
        name, [of_16_bits((1, 40, 8))], [of_16_bits((1, 40, 8), scale)], options,
        allowed=allowed, version={"QUANTIZE": 2, "LEAKY_RELU": 2, "RELU": 3}.get(name, 3),
    )


@together(name=["AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "CONCATENATION", "RESHAPE", "RESIZE_BILINEAR", "BATCH_MATMUL", "TRANSPOSE", "PAD", "STRIDED_SLICE"])
def test_others_of_16_bits(batch: Batch, name: str) -> None:
    pool = {"padding": 0, "strideH": 1, "strideW": 2, "filterHeight": 2, "filterWidth": 3}
    data = of_16_bits((1, 6, 7, 4))
    if name.endswith("POOL_2D"):
        batch.add(name, [data], [of_16_bits((1, 6, 4, 4))], ("Pool2DOptions", pool), version=3)
    elif name == "MEAN":
        out = of_16_bits((1, 4))
        batch.add(name, [data, const([1, 2])], [out], ("ReducerOptions", {}), allowed=1, version=3)
    elif name == "CONCATENATION":
        options = ("ConcatenationOptions", {"axis": 3})
        batch.add(name, [data, data], [of_16_bits((1, 6, 7, 8))], options, version=3)
    elif name == "RESHAPE":
        batch.add(name, [data, const([6, -1])], [of_16_bits((6, 28))])
    elif name == "RESIZE_BILINEAR":
        options = ("ResizeBilinearOptions", {"halfPixelCenters": True})
        batch.add(name, [data, const([9, 12])], [of_16_bits((1, 9, 12, 4))], options, allowed=1, version=4)
    elif name == "BATCH_MATMUL":
        tensors = [of_16_bits((2, 3, 4)), of_16_bits((2, 4, 5))]
        batch.add(name, tensors, [of_16_bits((2, 3, 5), 1 / 300)], ("BatchMatMulOptions", {}), allowed=1, version=4)


@pytest.mark.parametrize("kind", ["dense", "convolution", "depthwise", "transposed"])
def test_matrix_products_of_16_bits(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(1)
    shapes: dict[str, Any] = {
        "dense": ((6, 16), (3, 16), (3, 6), 0),
        "convolution": ((6, 3, 3, 4), (1, 7, 8, 4), (1, 7, 8, 6), 0),
        "depthwise": ((1, 3, 3, 4), (1, 7, 8, 4), (1, 7, 8, 4), 3),
        "transposed": ((6, 3, 3, 4), (1, 7, 8, 4), (1, 7, 8, 6), 0),
    }
    kernel, source, result, axis = shapes[kind]
    count = kernel[axis]
    scales = 0.01 if kind == "dense" else random.random(count) * 0.01 + 0.005
    weight = const(random.integers(-127, 128, kernel), "int8", scale=scales, zero=0, axis=axis)
    bias = const(random.integers(-(10**6), 10**6, count), "int64", scale=np.broadcast_to(scales, count) / 3000 if kind != "dense" else scales / 3000, zero=0)
    name, options = {
        "dense": ("FULLY_CONNECTED", ("FullyConnectedOptions", {})),
        "convolution": ("CONV_2D", ("Conv2DOptions", {"strideH": 1, "strideW": 1})),
        "depthwise": ("DEPTHWISE_CONV_2D", ("DepthwiseConv2DOptions", {"strideH": 1, "strideW": 1, "depthMultiplier": 1})),
        "transposed": ("TRANSPOSE_CONV", ("TransposeConvOptions", {"strideH": 1, "strideW": 1})),
    }[kind]
    tensors = [of_16_bits(source), weight, bias, of_16_bits(result, 1 / 400)]
    inputs = [0, 1, 2]
    if kind == "transposed":
        tensors.append(const(result))
        inputs = [4, 1, 0, 2]
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [Op(name, inputs, [3], options, version=9 if kind == "dense" else 5 if kind != "transposed" else 4)], [0], [3]))
    x = [random.integers(-32768, 32768, source).astype(np.int16)]
    assert furthest(by_edgetvm(path, x), by_litert(path, x)) <= 1


@pytest.mark.parametrize("kind", ["dense", "convolution"])
@pytest.mark.parametrize("data", ["int8", "float32"])
def test_weights_of_4_bits(tmp_path: Path, kind: str, data: str) -> None:
    random = np.random.default_rng(1)
    kernel, source, result = {
        "dense": ((5, 16), (3, 16), (3, 5)),
        "convolution": ((5, 3, 3, 3), (1, 7, 8, 3), (1, 7, 8, 5)),
    }[kind]
    scales = random.random(5) * 0.05 + 0.05
    weight = const(random.integers(-7, 8, kernel), "int4", scale=scales, zero=0)
    more: list[dict[str, Any]] = [{}, {}]
    bias = const(random.standard_normal(5), "float32")
    if data == "int8":
        more = [{"scale": 0.05, "zero": 3}, {"scale": 0.2, "zero": -7}]
        bias = const(random.integers(-900, 900, 5), "int32", scale=scales * 0.05, zero=0)
    name, options = {
        "dense": ("FULLY_CONNECTED", ("FullyConnectedOptions", {})),
        "convolution": ("CONV_2D", ("Conv2DOptions", {"strideH": 1, "strideW": 1})),
    }[kind]
    tensors = [T(source, data, **more[0]), weight, bias, T(result, data, **more[1])]
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [Op(name, [0, 1, 2], [3], options, version=10 if kind == 'dense' else 7)], [0], [3]))
    x = [random.standard_normal(source).astype(np.float32)] if data == "float32" else [random.integers(-128, 128, source).astype(np.int8)]
    assert furthest(by_edgetvm(path, x), by_litert(path, x)) <= (2e-5 if data == "float32" else 1)
