"""Winograd's convolutions in strips that stay in a small level 2, against ONNX Runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import compiled
import pytest
from compiled import check, graph, random
from onnx import helper

from edgetvm.boards import BoardProfile, load_profile
from edgetvm.compile.kernels.winograd import TRANSFORMS
from edgetvm.compile.lowering.winograd import strip_of

_LEVEL_2 = 48 << 10


def _small(name: str) -> BoardProfile:
    profile = load_profile(name)
    cache = dataclasses.replace(profile.cache, l2_bytes=_LEVEL_2, l2_shared=False)
    return dataclasses.replace(profile, cache=cache)


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize(
    ("shape", "features"),
    [((2, 16, 18, 13), 20), ((1, 20, 20, 40), 24), ((1, 16, 16, 8), 16)],
    ids=["a batch and edges", "five strips", "whole vectors"],
)
def test_strips_give_the_same(
    shape: tuple[int, ...],
    features: int,
    cores: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Channels, features and rows of tiles that do not divide; a residual behind."""
    monkeypatch.setattr(compiled, "load_profile", _small)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "c"], ["out"]),
    ]
    constants = {
        "w": random(features, shape[1], 3, 3, seed=1),
        "b": random(features, seed=2),
    }
    inputs = {"x": random(*shape)}
    rules = check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs, cores)
    assert "winograd tiles" in rules


@pytest.mark.parametrize(
    ("channels", "features", "size", "cores", "strip"),
    [
        (20, 24, (20, 40), 1, 1),
        (16, 16, (16, 8), 1, 2),
        (16, 16, (24, 2), 1, 6),
        (16, 16, (24, 8), 2, 3),
        (16, 16, (12, 8), 2, 3),
        (36, 40, (20, 14), 1, 5),
    ],
    ids=[
        "not even one row fits",
        "two",
        "all",
        "as many for each core",
        "no equal shares",
        "weights are more than tiles",
    ],
)
def test_a_strip_stays_in_level_2(
    channels: int, features: int, size: tuple[int, int], cores: int, strip: int
) -> None:
    """The most rows of tiles that fit and divide all, where it is worth reading weights again."""
    found = strip_of(channels, features, size, TRANSFORMS[4], "float32", _small("rpi4"), cores)
    assert found == strip
