"""Grouped convolutions for Arm boards, run by QEMU and checked against sums group by group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated import emulated, kernels_for
from numpy.typing import NDArray

from edgetvm.boards import BoardProfile, load_profile
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.target import target_for

# name: groups, channels and features of each, taps along both axes
FORMS = {
    "tiles that lie over each other": (3, 20, 20, 1),
    "one tile for a group": (4, 12, 16, 1),
    "fewer features than a vector": (4, 8, 3, 1),
    "channels that fill no vector": (3, 10, 19, 1),
    "windows": (3, 8, 12, 3),
}


def random(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def scheduled(profile: BoardProfile, data: NDArray[Any], weights: NDArray[Any], groups: int) -> Any:
    """The convolution as kernels for a board."""
    from tvm import relax

    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(data.shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            convolution = relax.op.nn.conv2d(
                x,
                relax.const(weights, "float32"),
                padding=weights.shape[0] // 2,
                groups=groups,
                data_layout="NHWC",
                kernel_layout="HWIO",
            )
            result = builder.emit_output(convolution)
        builder.emit_func_output(result)
    module, rules = kernels_for(builder.get(), profile)
    assert "register tile" in rules
    return module


def summed(data: NDArray[Any], weights: NDArray[Any], groups: int) -> NDArray[Any]:
    """The convolution by its definition, in 64 bits."""
    taps, around = weights.shape[0], weights.shape[0] // 2
    padded = np.pad(data.astype(np.float64), ((0, 0), (around, around), (around, around), (0, 0)))
    height, width = data.shape[1:3]
    pairs = zip(np.split(padded, groups, -1), np.split(weights, groups, -1), strict=True)
    parts = [
        sum(
            part[:, y : y + height, x : x + width] @ mine[y, x]
            for y in range(taps)
            for x in range(taps)
        )
        for part, mine in pairs
    ]
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize("board", ["rpi4", "rpi3-32"])
@pytest.mark.parametrize("name", FORMS)
def test_a_grouped_convolution_on_arm(name: str, board: str, tmp_path: Path) -> None:
    groups, channels, features, taps = FORMS[name]
    data, weights = (
        random(1, 5, 9, groups * channels),
        random(taps, taps, channels, groups * features),
    )
    profile = load_profile(board)
    found = emulated(scheduled(profile, data, weights, groups), profile, data, tmp_path)
    np.testing.assert_allclose(found, summed(data, weights, groups), rtol=1e-4, atol=1e-4)


def test_one_load_brings_the_elements_of_several_steps() -> None:
    import tvm
    from tvm import tirx

    profile = load_profile("rpi4")
    module = scheduled(profile, random(1, 7, 7, 60), random(1, 1, 20, 60), groups=3)
    kernels = {
        name: function.with_attr("global_symbol", name.name_hint)
        for name, function in module.functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    built = tvm.tirx.build(
        tvm.IRModule(kernels), target=target_for(profile), pipeline=kernel_pipeline()
    )
    assembly = built.inspect_source("asm")
    assert "fmla" in assembly
    assert "ld1r" not in assembly
