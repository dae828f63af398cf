"""Quantised operators agree with ONNX Runtime, to the quantum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_agreement import agree, by_evaluator, compiled, make

RANDOM = np.random.default_rng(5)


def floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def integers(dtype: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("per_axis", [False, True])
def test_quantise_and_back(tmp_path: Path, dtype: str, per_axis: bool) -> None:
    # Halves of a quantum, which round to even, and values far beyond the range.
    x = np.array([[-1e6, -0.75, -0.25, 0.25, 0.75], [1e6, 1.25, 1.75, 0.0, 3.0]], np.float32)
    scale = np.array([0.5, 0.25] if per_axis else 0.5, np.float32)
    zero = np.array([3, 1] if per_axis else 3, dtype)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=0),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], axis=0),
    ]
    path = make(
        tmp_path / "m.onnx", nodes, {"x": x}, ["q", "y"], {"scale": scale, "zero": zero}, opset=21
    )
    agree(path, {"x": x})


def test_dequantise_int32_without_zero_point(tmp_path: Path) -> None:
    x = np.array([[1 << 20, -7, 3]], np.int32)
    node = helper.make_node("DequantizeLinear", ["x", "scale"], ["y"])
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], {"scale": np.float32(0.125)})
    agree(path, {"x": x})


def test_blocks(tmp_path: Path) -> None:
    x = floats(2, 6)
    constants = {
        "scale": np.array([[0.1, 0.2], [0.3, 0.4]], np.float32),
        "zero": np.array([[1, 2], [3, 4]], np.uint8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=1, block_size=3),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], axis=1, block_size=3),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": x}, ["q", "y"], constants, opset=21)
    agree(path, {"x": x}, by_evaluator)


@pytest.mark.parametrize("values", [[-3.0, 0.0, 2.5], [1.0, 4.0, 9.0], [-5.0, -2.0, -1.0]])
def test_dynamic_range(tmp_path: Path, values: list[float]) -> None:
    x = np.array(values, np.float32)
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"])
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["q", "scale", "zero"])
    agree(path, {"x": x})


def test_dynamic_range_of_nothing_but_zeros_divides_by_nothing(tmp_path: Path) -> None:
    x = np.zeros(4, np.float32)
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"])
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["q", "scale", "zero"])
    _, found = compiled(path, {"x": x})
    np.testing.assert_array_equal(found["q"], np.zeros(4, np.uint8))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("group", [1, 2])
def test_qlinear_conv(tmp_path: Path, per_channel: bool, group: int) -> None:
    x = integers("uint8", 1, 4, 6, 6)
    channels = 4
    constants: dict[str, Any] = {
        "xs": np.float32(0.02),
        "xz": np.uint8(121),
        "w": integers("int8", channels, 4 // group, 3, 3),
        "ws": np.linspace(0.01, 0.03, channels).astype(np.float32)
        if per_channel
        else np.float32(0.02),
        "wz": np.zeros(channels, np.int8) if per_channel else np.int8(0),
        "ys": np.float32(0.11),
        "yz": np.uint8(128),
        "b": RANDOM.integers(-2000, 2000, channels).astype(np.int32),
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"],
        ["y"],
        pads=[1, 1, 1, 1],
        strides=[2, 1],
        group=group,
    )
    constants = {name: np.asarray(value) for name, value in constants.items()}
    agree(make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], constants), {"x": x})


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_qlinear_matmul(tmp_path: Path, dtype: str) -> None:
    a = integers(dtype, 2, 3, 8)
    constants = {
        "as": np.array(0.02, np.float32),
        "az": np.array(3, dtype),
        "b": integers(dtype, 2, 8, 5),
        "bs": np.array(0.01, np.float32),
        "bz": np.array(5, dtype),
        "ys": np.array(0.1, np.float32),
        "yz": np.array(7, dtype),
    }
    node = helper.make_node("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])
    agree(make(tmp_path / "m.onnx", [node], {"a": a}, ["y"], constants), {"a": a})


def test_integer_products(tmp_path: Path) -> None:
    a, x = integers("uint8", 3, 16), integers("uint8", 1, 2, 5, 5)
    constants = {
        "az": np.array(120, np.uint8),
        "b": integers("int8", 16, 4),
        "bz": np.array([1, -2, 3, -4], np.int8),
        "xz": np.array(9, np.uint8),
        "w": integers("uint8", 3, 2, 3, 3),
        "wz": np.array(7, np.uint8),
    }
    nodes = [
        helper.make_node("MatMulInteger", ["a", "b", "az", "bz"], ["product"]),
        helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["maps"], pads=[1, 1, 1, 1]),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"a": a, "x": x}, ["product", "maps"], constants)
    agree(path, {"a": a, "x": x})


@pytest.mark.parametrize("signed", [True, False])
def test_sums_of_bytes_whose_zero_point_comes_with_them(tmp_path: Path, signed: bool) -> None:
    """What a dynamic quantiser feeds: borders are of that zero point, weights keep their own."""
    weights = "int8" if signed else "uint8"
    inputs = {
        "x": integers("uint8", 1, 8, 9, 7),
        "line": integers("uint8", 1, 8, 11),
        "a": integers("uint8", 2, 3, 8),
        "zero": np.array(131, np.uint8),
    }
    constants = {
        "w": integers(weights, 6, 4, 3, 2),
        "taps": integers(weights, 5, 8, 3),
        "b": integers(weights, 8, 5),
        "wz": np.array(0 if signed else 250, weights),
    }
    image: dict[str, Any] = {"pads": [1, 0, 2, 1], "strides": [2, 1], "group": 2}
    nodes = [
        helper.make_node("ConvInteger", ["x", "w", "zero", "wz"], ["maps"], **image),
        helper.make_node("ConvInteger", ["line", "taps", "zero", "wz"], ["row"], pads=[2, 0]),
        helper.make_node("MatMulInteger", ["a", "b", "zero", "wz"], ["product"]),
    ]
    path = make(tmp_path / "m.onnx", nodes, inputs, ["maps", "row", "product"], constants)
    agree(path, inputs)


@pytest.mark.parametrize(
    "kind", ["FLOAT8E4M3FN", "FLOAT8E5M2FNUZ", "FLOAT4E2M1", "INT4", "UINT2", "BFLOAT16"]
)
def test_narrow_types_round_as_the_evaluator_says(tmp_path: Path, kind: str) -> None:
    x = np.concatenate(
        [floats(400, scale=4.0), floats(50, scale=1e5), np.array([0.0, -0.0, np.nan], np.float32)]
    )
    if "INT" in kind:
        x = np.linspace(-20, 20, 81, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=getattr(TensorProto, kind)),
        helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": x}, ["y"], opset=25)
    _, found = compiled(path, {"x": x})
    (expected,) = by_evaluator(path, {"x": x})
    np.testing.assert_array_equal(found["y"], expected)
