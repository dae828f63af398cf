"""Linear resizing, one axis at a time, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled import check, graph, random
from onnx import NodeProto, helper

from edgetvm.compile.options import CompileOptions


@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize(
    ("shape", "scales"),
    [((1, 21, 7, 5), (8, 8)), ((1, 8, 20, 30), (0.25, 1.5)), ((2, 3, 4, 6), (0.25, 3))],
)
def test_a_picture_is_resized(
    shape: tuple[int, ...], scales: tuple[float, ...], mode: str, tmp_path: Path
) -> None:
    """Behind a convolution, whose channels come last, and before the end, where they do not."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node(
            "Resize",
            ["c", "", "scales"],
            ["out"],
            mode="linear",
            coordinate_transformation_mode=mode,
        ),
    ]
    constants = {
        "w": random(shape[1], shape[1], 1, 1, seed=1),
        "scales": np.array([1, 1, *scales], np.float32),
    }
    inputs = {"x": random(*shape)}
    rules = check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs, tolerance=1e-5)
    assert rules.count("elements") >= 2


def linear(mode: str) -> NodeProto:
    """`x` resized to `sizes`."""
    return helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["out"],
        mode="linear",
        coordinate_transformation_mode=mode,
    )


@pytest.mark.parametrize(
    "mode", ["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners"]
)
@pytest.mark.parametrize("size", [(56, 40), (13, 31), (3, 2)])
def test_sizes_are_interpolated_by_tables_too(
    size: tuple[int, int], mode: str, tmp_path: Path
) -> None:
    inputs = {"x": random(1, 8, 7, 5)}
    constants = {"sizes": np.array([1, 8, *size], np.int64)}
    rules = check(
        graph(tmp_path / "m.onnx", [linear(mode)], inputs, constants), inputs, tolerance=1e-5
    )
    assert rules == ["elements", "elements"]


@pytest.mark.parametrize("level", [0, 1, 3])
@pytest.mark.parametrize("size", [(1, 4), (6, 1), (1, 1)])
@pytest.mark.parametrize(
    "mode", ["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners"]
)
def test_one_pixel_is_left_at_every_level(
    mode: str, size: tuple[int, int], level: int, tmp_path: Path
) -> None:
    """Where corners are aligned, or pixels counted as PyTorch does, it is the first one."""
    inputs = {"x": random(1, 3, 7, 5)}
    constants = {"sizes": np.array([1, 3, *size], np.int64)}
    path = graph(tmp_path / "m.onnx", [linear(mode)], inputs, constants)
    check(path, inputs, tolerance=1e-5, options=CompileOptions(level))
