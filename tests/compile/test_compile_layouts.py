"""Channels in blocks: what travels in them, what does not, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import checked, graph, random
from onnx import helper

from edgetvm.boards import load_profile
from edgetvm.compile.options import CompileOptions

BLOCKS = CompileOptions(layout="NCHWc")
LANES = load_profile("local").vector_lanes
BLOCKED = f"NCHW{LANES}c"
CHANNELS = 2 * LANES


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def between(
    tmp_path: Path, nodes: list[Any], constants: dict[str, Any], channels: int = CHANNELS
) -> tuple[Any, ...]:
    """Kernels of a model with those nodes from `a` to `b` between two convolutions."""
    constants |= {
        "first": random(CHANNELS, 3, 3, 3, seed=1),
        "last": random(CHANNELS, channels, 1, 1, seed=2) / np.float32(channels),
    }
    nodes = [
        node("Conv", "x first", "a", pads=[1] * 4),
        *nodes,
        node("Conv", "b last", "out"),
    ]
    inputs = {"x": random(2, 3, 10, 9)}
    path = graph(tmp_path / "m.onnx", nodes, inputs, constants)
    return checked(path, inputs, options=BLOCKS)


# Nodes from `a` to `b`, constants, channels of `b`.
TRAVELLING: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "elements": (
        [
            node("Relu", "a", "r"),
            node("Mul", "r scale", "m"),
            node("Add", "m a", "s"),
            node("Add", "row s", "t"),
            node("Sigmoid", "t", "b"),
        ],
        {"scale": random(CHANNELS, 1, 1), "row": random(1, 1, 9)},
        CHANNELS,
    ),
    "pooling": (
        [
            node("MaxPool", "a", "m", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
            node("AveragePool", "m", "b", kernel_shape=[2, 2], strides=[1, 1]),
        ],
        {},
        CHANNELS,
    ),
    "resizing and padding": (
        [
            helper.make_node("Resize", ["a", "", "sizes"], ["r"], mode="nearest"),
            node("Pad", "r widths", "b"),
        ],
        {"sizes": np.float32([1, 1, 2, 2]), "widths": [0, 0, 1, 2, 0, 0, 0, 1]},
        CHANNELS,
    ),
    "concatenation": (
        [node("Relu", "a", "r"), node("Concat", "a r", "b", axis=1)],
        {},
        2 * CHANNELS,
    ),
    "squeeze and excite": (
        [
            node("GlobalAveragePool", "a", "p"),
            node("Conv", "p down", "d"),
            node("Relu", "d", "e"),
            node("Conv", "e up", "u"),
            node("HardSigmoid", "u", "g"),
            node("Mul", "a g", "b"),
        ],
        {"down": random(5, CHANNELS, 1, 1, seed=3), "up": random(CHANNELS, 5, 1, 1, seed=4)},
        CHANNELS,
    ),
    "depthwise": (
        [node("Conv", "a taps", "b", group=CHANNELS, pads=[1] * 4, strides=[2, 2])],
        {"taps": random(CHANNELS, 1, 3, 3, seed=3)},
        CHANNELS,
    ),
    "winograd": (
        [node("Conv", "a taps bias", "r", pads=[1] * 4), node("Relu", "r", "b")],
        {
            "taps": random(3 * LANES, CHANNELS, 3, 3, seed=3) / 8,
            "bias": random(3 * LANES),
        },
        3 * LANES,
    ),
    "strided": (
        [node("Conv", "a taps", "b", strides=[2, 1], pads=[0, 1, 2, 1])],
        {"taps": random(5 * LANES, CHANNELS, 3, 3, seed=3) / 8},
        5 * LANES,
    ),
}
# Elements are moved for these.
OTHERS: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "height for channels": (
        [
            node("Transpose", "a", "t", perm=[0, 2, 1, 3]),
            node("Conv", "t side", "s"),
            node("Transpose", "s", "r", perm=[0, 2, 1, 3]),
            node("Conv", "a same", "c"),
            node("Add", "c r", "u"),
            node("Transpose", "u", "v", perm=[0, 3, 2, 1]),
            node("Conv", "v more", "w"),
            node("Transpose", "w", "y", perm=[0, 3, 2, 1]),
            node("Add", "y a", "b"),
        ],
        {
            "side": random(10, 10, 1, 1, seed=3),
            "same": random(CHANNELS, CHANNELS, 1, 1, seed=4) / 8,
            "more": random(9, 9, 1, 1, seed=5),
        },
        CHANNELS,
    ),
    "softmax over channels": ([node("Softmax", "a", "b", axis=1)], {}, CHANNELS),
    "shuffle": (
        [
            node("Reshape", "a wide", "w"),
            node("Transpose", "w", "t", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "t back", "b"),
        ],
        {"wide": [2, 2, LANES, 10, 9], "back": [2, CHANNELS, 10, 9]},
        CHANNELS,
    ),
    "odd channels": (
        [node("Conv", "a odd", "b")],
        {"odd": random(LANES + 3, CHANNELS, 1, 1, seed=3)},
        LANES + 3,
    ),
    "concatenation of odd channels": (
        [node("Conv", "a odd", "o"), node("Concat", "a o", "b", axis=1)],
        {"odd": random(3, CHANNELS, 1, 1, seed=3)},
        CHANNELS + 3,
    ),
    "slice and border of channels": (
        [
            node("Slice", "a from to axes", "s"),
            node("Pad", "s widths", "b"),
        ],
        {"from": [3], "to": [LANES], "axes": [1], "widths": [0, 1, 0, 0, 0, 2, 0, 0]},
        LANES,
    ),
    "reduction of channels": (
        [node("ReduceMax", "a", "m", axes=[1]), node("Sub", "a m", "b")],
        {},
        CHANNELS,
    ),
    "grouped": (
        [node("Conv", "a taps", "b", group=2)],
        {"taps": random(CHANNELS, LANES, 1, 1, seed=3)},
        CHANNELS,
    ),
}


@pytest.mark.parametrize("name", TRAVELLING)
def test_what_travels_in_blocks(name: str, tmp_path: Path) -> None:
    kernels = between(tmp_path, *TRAVELLING[name])
    moved = [one.workload for one in kernels if "permute" in one.workload]
    assert len(moved) == 2  # the model's input and output
    layouts = [one.layout for one in kernels if one.layout]
    assert layouts[0] == f"NHWC>{BLOCKED}"
    assert layouts[-1] == BLOCKED


@pytest.mark.parametrize("level", [3, 4])
def test_constant_factors_go_into_weights(level: int, tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x first", "a", pads=[1] * 4),
        node("Mul", "a before", "m"),
        node("Conv", "m last", "c"),
        node("Mul", "c after", "s"),
        node("Add", "s shift", "out"),
    ]
    constants = {
        "first": random(CHANNELS, 3, 3, 3, seed=1),
        "before": random(CHANNELS, 1, 1, seed=2),
        "last": random(CHANNELS, CHANNELS, 1, 1, seed=3),
        "after": random(CHANNELS, 1, 1, seed=4),
        "shift": random(CHANNELS, 1, 1, seed=5),
    }
    inputs = {"x": random(1, 3, 9, 8)}
    path = graph(tmp_path / "m.onnx", nodes, inputs, constants)
    kernels = checked(path, inputs, options=CompileOptions(level, "NCHWc"))
    assert not [one.workload for one in kernels if "multiply" in one.workload]


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not(name: str, tmp_path: Path) -> None:
    between(tmp_path, *OTHERS[name])


# Nodes from `x` to `out` with weights `wide`, `taps` and `narrow`, and the layouts of the kernels.
CHOSEN: dict[str, tuple[list[Any], list[str]]] = {
    "depthwise, between pointwise ones": (
        [
            node("Conv", "x wide", "a"),
            node("Relu", "a", "r"),
            node("Conv", "r taps", "d", group=CHANNELS, pads=[1] * 4),
            node("GlobalAveragePool", "d", "p"),
            node("Sigmoid", "p", "g"),
            node("Mul", "d g", "e"),
            node("Conv", "e narrow", "out"),
        ],
        [f"NHWC>{BLOCKED}", BLOCKED, f"{BLOCKED}>NHWC"],
    ),
    "depthwise and something else": (
        [
            node("Conv", "x wide", "a"),
            node("Conv", "a taps", "d", group=CHANNELS, pads=[1] * 4),
            node("Add", "d a", "s"),
            node("Conv", "s narrow", "out"),
        ],
        ["NHWC"] * 3,
    ),
    "read in another layout afterwards": (
        [
            node("Conv", "x wide", "a"),
            node("Conv", "a taps", "d", group=CHANNELS, pads=[1] * 4),
            node("Softmax", "d", "out", axis=1),
        ],
        ["NHWC"] * 2,
    ),
    "joined with what lies elsewhere": (
        [
            node("Conv", "x wide", "a"),
            node("Conv", "x wide", "c"),
            node("Add", "a c", "s"),
            node("Conv", "s taps", "out", group=CHANNELS, pads=[1] * 4),
        ],
        ["NHWC"] * 2,
    ),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_blocks_are_chosen_for_depthwise_convolutions(name: str, tmp_path: Path) -> None:
    nodes, layouts = CHOSEN[name]
    constants = {
        "wide": random(CHANNELS, LANES, 1, 1, seed=1),
        "taps": random(CHANNELS, 1, 3, 3, seed=2),
        "narrow": random(LANES, CHANNELS, 1, 1, seed=3),
    }
    inputs = {"x": random(1, LANES, 12, 11)}
    kernels = checked(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs)
    convolutions = [one.layout for one in kernels if "conv2d" in one.workload]
    assert convolutions == layouts
