"""Pointwise convolutions that see a map as one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import check, graph, random
from onnx import helper

from edgetvm.boards import load_profile
from edgetvm.compile.compiler import optimise
from edgetvm.models import import_model

MAP = (2, 16, 6, 5)


def convolution(data: str, weights: str, result: str, **attributes: Any) -> Any:
    return helper.make_node("Conv", [data, weights], [result], **attributes)


# What follows a pointwise convolution `c` of `x`, until `out`; and how many kernels that takes.
BEHIND = {
    "bias and clip": (
        [
            helper.make_node("Add", ["c", "per_feature"], ["b"]),
            helper.make_node("Relu", ["b"], ["out"]),
        ],
        1,
    ),
    "the input again": ([helper.make_node("Add", ["c", "x"], ["out"])], 1),
    "a constant map": ([helper.make_node("Mul", ["c", "per_point"], ["out"])], 1),
    "a factor of each feature": (
        [
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
            helper.make_node("Mul", ["c", "mean"], ["out"]),
        ],
        None,
    ),
    "two readers": (
        [
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Sigmoid", ["c"], ["s"]),
            helper.make_node("Mul", ["r", "s"], ["out"]),
        ],
        None,
    ),
    "rows only": ([helper.make_node("Mul", ["c", "per_row"], ["out"])], None),
    "a spatial one": (
        [
            helper.make_node("Relu", ["c"], ["r"]),
            convolution("r", "spatial", "out", pads=[1, 1, 1, 1]),
        ],
        2,
    ),
    "another pointwise one": (
        [
            helper.make_node("Relu", ["c"], ["r"]),
            convolution("r", "square", "d"),
            helper.make_node("Add", ["d", "r"], ["out"]),
        ],
        2,
    ),
}
CONSTANTS = {
    "square": random(16, 16, 1, 1),
    "spatial": random(8, 16, 3, 3),
    "per_feature": random(16, 1, 1),
    "per_point": random(*MAP[1:]),
    "per_row": random(6, 1),
}


def written(path: Path, behind: list[Any]) -> Path:
    used = {"square", *(name for node in behind for name in node.input)}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    nodes = [convolution("x", "square", "c"), *behind]
    return graph(path / "m.onnx", nodes, {"x": random(*MAP)}, constants)


@pytest.mark.parametrize("name", BEHIND)
def test_answers_are_those_of_the_graph(name: str, tmp_path: Path) -> None:
    nodes, kernels = BEHIND[name]
    rules = check(written(tmp_path, nodes), {"x": random(*MAP)})
    # The input and the output lie channels first: each is permuted once more at most.
    assert kernels is None or len(rules) <= kernels + 2


def test_the_convolution_sees_one_row_with_all_that_is_fused(tmp_path: Path) -> None:
    nodes, _ = BEHIND["bias and clip"]
    module = optimise(import_model(written(tmp_path, nodes)), load_profile("rpi4"))
    shapes = {
        tuple(int(size) for size in parameter.ty.shape)
        for variable, function in module.functions_items()
        if "conv" in variable.name_hint
        for parameter in function.params
    }
    batch, channels, rows, columns = MAP
    assert (batch, 1, rows * columns, channels) in shapes
    assert (batch, rows, columns, channels) not in shapes


def test_a_strided_or_padded_one_keeps_its_rows(tmp_path: Path) -> None:
    data = random(1, 8, 7, 7)
    for number, attributes in enumerate(({"strides": [2, 2]}, {"pads": [1, 0, 0, 1]})):
        nodes = [convolution("x", "w", "out", **attributes)]
        path = graph(tmp_path / f"{number}.onnx", nodes, {"x": data}, {"w": random(24, 8, 1, 1)})
        check(path, {"x": data})


def test_a_quantised_one_is_rounded_in_its_own_kernel(tmp_path: Path) -> None:
    """All in bytes from one quantisation to the next: no sums are written between kernels."""
    steps = {"step": np.float32(0.05), "zero": np.uint8(128), "w_step": np.float32(0.02)}
    weights = np.random.default_rng(0).integers(-127, 128, (32, 16, 1, 1)).astype(np.int8)
    constants = {**steps, "w": weights, "w_zero": np.int8(0), "bias": random(32, 1, 1)}

    def pair(name: str) -> list[Any]:
        quantised, real = f"{name}_q", f"{name}_r"
        return [
            helper.make_node("QuantizeLinear", [name, "step", "zero"], [quantised]),
            helper.make_node("DequantizeLinear", [quantised, "step", "zero"], [real]),
        ]

    nodes = [
        *pair("x"),
        helper.make_node("DequantizeLinear", ["w", "w_step", "w_zero"], ["w_r"]),
        convolution("x_r", "w_r", "c"),
        helper.make_node("Add", ["c", "bias"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        *pair("e"),
        helper.make_node("MaxPool", ["e_r"], ["out"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    data = 3 * random(1, 16, 14, 14)
    path = graph(tmp_path / "m.onnx", nodes, {"x": data}, constants)
    # A step of the result, where a sum lies between two of them.
    check(path, {"x": data}, tolerance=0.0101)
    module = optimise(import_model(path), load_profile("local"))
    names = [variable.name_hint for variable in module.get_global_vars()]
    assert any("conv_int8" in name and "requantise" in name for name in names), names
    assert not any("planes" in name for name in names)
