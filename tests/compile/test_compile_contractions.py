"""Convolutions and products of all shapes against ONNX Runtime, and which rule scheduled them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import check, graph, random
from onnx import helper

# name: input, weights, attributes, the rule
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], str]] = {
    "pointwise": ((1, 32, 14, 14), (64, 32, 1, 1), {}, "register tile"),
    "pointwise of odd sizes": ((1, 17, 19, 13), (37, 17, 1, 1), {}, "register tile"),
    "batch": ((3, 16, 9, 9), (24, 16, 1, 1), {}, "register tile"),
    "one feature": ((1, 24, 11, 11), (1, 24, 1, 1), {}, "register tile"),
    "three features": ((1, 24, 11, 11), (3, 24, 3, 3), {"pads": [1] * 4}, "register tile"),
    "first layer": (
        (1, 3, 33, 47),
        (16, 3, 3, 3),
        {"strides": [2, 2], "pads": [1] * 4},
        "register tile",
    ),
    "large kernel": (
        (1, 3, 40, 40),
        (24, 3, 7, 7),
        {"strides": [2, 2], "pads": [3] * 4},
        "register tile",
    ),
    "uneven padding": (
        (1, 8, 21, 23),
        (20, 8, 3, 5),
        {"pads": [0, 2, 1, 1], "strides": [2, 1]},
        "register tile",
    ),
    "dilated": (
        (1, 16, 20, 20),
        (16, 16, 3, 3),
        {"dilations": [2, 2], "pads": [2] * 4},
        "register tile",
    ),
    "small map": ((1, 32, 3, 5), (48, 32, 3, 3), {"pads": [0] * 4}, "register tile"),
    "map of one element": ((1, 40, 1, 1), (80, 40, 1, 1), {}, "register tile"),
    "winograd": ((1, 32, 16, 20), (32, 32, 3, 3), {"pads": [1] * 4}, "winograd tiles"),
    "winograd of odd sizes": (
        (1, 24, 13, 19),
        (40, 24, 3, 3),
        {"pads": [1] * 4},
        "winograd tiles",
    ),
    "winograd without padding": ((1, 32, 15, 14), (36, 32, 3, 3), {}, "winograd tiles"),
    "winograd of a batch": ((2, 32, 11, 11), (32, 32, 3, 3), {"pads": [1] * 4}, "winograd tiles"),
    "winograd, uneven padding": (
        (1, 32, 13, 14),
        (32, 32, 3, 3),
        {"pads": [0, 1, 2, 1]},
        "winograd tiles",
    ),
    "depthwise": (
        (1, 32, 20, 20),
        (32, 1, 3, 3),
        {"group": 32, "pads": [1] * 4},
        "depthwise columns",
    ),
    "depthwise of odd sizes": (
        (1, 19, 13, 7),
        (19, 1, 5, 5),
        {"group": 19, "pads": [2] * 4, "strides": [2, 2]},
        "depthwise columns",
    ),
    # Too few channels for a vector: planes of pixels, in NCHW.
    "depthwise of few channels": (
        (1, 3, 6, 64),
        (3, 1, 3, 3),
        {"group": 3, "pads": [1] * 4},
        "register tile",
    ),
    "depthwise of many taps": (
        (1, 24, 1, 50),
        (24, 1, 1, 31),
        {"group": 24, "pads": [0, 15, 0, 15]},
        "depthwise columns",
    ),
    "grouped": ((1, 48, 14, 14), (96, 12, 1, 1), {"group": 4}, "register tile"),
    "grouped of odd sizes": (
        (1, 30, 9, 11),
        (57, 10, 3, 3),
        {"group": 3, "pads": [1] * 4},
        "register tile",
    ),
    "channel multiplier": (
        (1, 12, 9, 9),
        (36, 1, 3, 3),
        {"group": 12, "pads": [1] * 4},
        "register tile",
    ),
    "one dimension": ((1, 20, 50), (33, 20, 5), {"pads": [2, 2]}, "register tile"),
    "one dimension, depthwise": (
        (1, 20, 50),
        (20, 1, 7),
        {"group": 20, "strides": [2]},
        "depthwise columns",
    ),
    "three dimensions": ((1, 4, 6, 7, 9), (18, 4, 3, 3, 3), {"pads": [1] * 6}, "register tile"),
}


@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution(name: str, followed: bool, tmp_path: Path) -> None:
    shape, weights, attributes, rule = CONVOLUTIONS[name]
    rank = len(shape) - 2
    constants = {
        "w": random(*weights, seed=1),
        "b": random(weights[0], seed=2),
    }
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c" if followed else "out"], **attributes)]
    if followed:
        constants["scale"] = random(weights[0], *[1] * rank, seed=3)
        nodes += [
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Mul", ["r", "scale"], ["m"]),
            helper.make_node("Add", ["m", "r"], ["out"]),
        ]
    inputs = {"x": random(*shape)}
    rules = check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs)
    assert rule in rules


# name: input, weights, attributes, the rule
TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], str]] = {
    "taps as the stride": ((1, 24, 9, 11), (24, 20, 2, 2), {"strides": [2, 2]}, "phases"),
    "more taps than the stride": (
        (1, 8, 7, 9),
        (8, 20, 3, 3),
        {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]},
        "phases",
    ),
    "four taps": ((2, 8, 6, 6), (8, 18, 4, 4), {"strides": [2, 2], "pads": [1] * 4}, "phases"),
    "fewer taps than the stride": (
        (1, 8, 5, 5),
        (8, 6, 1, 2),
        {"strides": [2, 3]},
        "register tile",
    ),
    "no whole strides": (
        (1, 5, 6, 7),
        (5, 3, 5, 4),
        {"strides": [3, 2], "pads": [2, 0, 1, 3]},
        "register tile",
    ),
    "no whole strides of many features": (
        (1, 8, 5, 7),
        (8, 16, 3, 3),
        {"strides": [2, 2], "pads": [1] * 4},
        "register tile",
    ),
    "one dimension": ((1, 6, 17), (6, 20, 5), {"strides": [2], "pads": [1, 2]}, "phases"),
    # Phases that are features of a plain convolution.
    "one feature": (
        (1, 8, 6, 7),
        (8, 1, 9, 9),
        {"strides": [2, 2], "pads": [4] * 4, "output_padding": [1, 1]},
        "register tile",
    ),
    "three features": (
        (2, 8, 5, 6),
        (8, 3, 4, 4),
        {"strides": [2, 2], "pads": [1] * 4},
        "register tile",
    ),
    "few features, cropped": (
        (1, 8, 6, 7),
        (8, 2, 5, 3),
        {"strides": [3, 2], "pads": [2, 1, 3, 0]},
        "register tile",
    ),
    "few features of one dimension": (
        (1, 6, 9),
        (6, 2, 16),
        {"strides": [8], "pads": [4, 4]},
        "register tile",
    ),
    "few features apart": ((2, 24, 5, 7), (24, 1, 2, 3), {"strides": [2, 3]}, "register tile"),
    "grouped": (
        (1, 6, 7, 7),
        (6, 4, 3, 3),
        {"strides": [2, 2], "group": 2},
        "register tile",
    ),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_a_transposed_convolution(name: str, tmp_path: Path) -> None:
    shape, weights, attributes, rule = TRANSPOSED[name]
    features = weights[1] * int(attributes.get("group", 1))
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["c"], **attributes),
        helper.make_node("Relu", ["c"], ["out"]),
    ]
    constants = {"w": random(*weights, seed=1), "b": random(features, seed=2)}
    inputs = {"x": random(*shape)}
    rules = check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs)
    assert rule in rules


@pytest.mark.parametrize(
    ("left", "right", "constant"),
    [
        ((1, 64), (64, 100), True),
        ((197, 48), (48, 37), True),
        ((2, 13, 24), (24, 50), True),
        ((1, 1, 7, 20), (20, 3), True),
        ((3, 31, 40), (3, 40, 29), True),
        ((31, 40), (40, 29), False),
        ((2, 4, 17, 32), (2, 4, 32, 17), False),
        ((1, 4, 1, 32), (1, 4, 32, 50), False),
    ],
)
def test_a_matrix_product(
    left: tuple[int, ...], right: tuple[int, ...], constant: bool, tmp_path: Path
) -> None:
    inputs = {"x": random(*left)}
    constants: dict[str, Any] = {}
    (constants if constant else inputs)["y"] = random(*right, seed=1)
    nodes = [
        helper.make_node("MatMul", ["x", "y"], ["p"]),
        helper.make_node("Relu", ["p"], ["out"]),
    ]
    check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs)


def test_a_gate_is_computed_once(tmp_path: Path) -> None:
    """A convolution on one element is not repeated for every pixel that its result scales."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Conv", ["mean", "w"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["out"]),
    ]
    inputs = {"x": random(1, 24, 15, 15)}
    rules = check(
        graph(tmp_path / "m.onnx", nodes, inputs, {"w": random(24, 24, 1, 1, seed=1)}), inputs
    )
    assert "register tile" in rules


def test_channels_are_shuffled_between_groups(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], group=4),
        helper.make_node("Reshape", ["c", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "joined"], ["j"]),
        helper.make_node("Conv", ["j", "v"], ["out"], group=4),
    ]
    constants = {
        "w": random(40, 8, 1, 1, seed=1),
        "v": random(24, 10, 1, 1, seed=2),
        "split": np.array([1, 4, 10, 7, 9]),
        "joined": np.array([1, 40, 7, 9]),
    }
    inputs = {"x": random(1, 32, 7, 9)}
    check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs)


def test_one_tensor_is_read_in_two_orders(tmp_path: Path) -> None:
    """What is moved for one reader is not handed to another that wants another order."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Concat", ["p", "t"], ["c"], axis=2),
        helper.make_node("Transpose", ["c"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["c", "turned"], ["m"]),
        helper.make_node("ReduceSum", ["c", "last"], ["sums"], keepdims=1),
        helper.make_node("Add", ["m", "sums"], ["out"]),
    ]
    inputs = {"x": random(2, 7, 3, 4), "p": random(2, 3, 2, 4, seed=1)}
    check(graph(tmp_path / "m.onnx", nodes, inputs, {"last": np.array([3])}), inputs)
