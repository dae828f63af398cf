"""Which kernels all cores share, and what of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from compiled import check, graph, random
from emulated import kernels_for
from onnx import helper

from edgetvm.boards import load_profile
from edgetvm.compile.schedules.work import shared_by


@pytest.mark.parametrize(
    ("multiply_adds", "points", "shared"),
    [
        (499_200, None, True),
        (499_199, None, False),
        (124_800, 1, True),
        (124_799, 1, False),
        (124_800, 2, False),
    ],
    ids=["6 us", "less", "one row", "a shorter one", "two rows"],
)
def test_cores_share_what_takes_long_enough(
    multiply_adds: int, points: int | None, shared: bool
) -> None:
    """6 us at 2600 MHz are 15,600 cycles, each of 32 multiply-adds or 8 weights read."""
    profile = load_profile("x86-avx512-vnni")
    assert shared_by(multiply_adds, profile, points) == (profile.cores if shared else 1)


def _parallel_extents(kernel: Any) -> list[int]:
    import tvm_ffi
    from tvm import tirx

    loops: list[Any] = []
    tvm_ffi.structural_walk(kernel.body, (tirx.For, loops.append), order="pre")
    parallel = tirx.ForKind.PARALLEL
    return [int(loop.extent) for loop in loops if int(loop.kind) == parallel]


@pytest.mark.parametrize(
    ("size", "extent"),
    [(16, 2), (7, None)],
    ids=["equal shares of points", "odd points: features"],
)
def test_cores_share_points_where_their_shares_are_equal(size: int, extent: int | None) -> None:
    from tvm import relax

    profile = dataclasses.replace(load_profile("x86-avx2"), cores=2)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, size, size, 64), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            convolution = relax.op.nn.conv2d(
                x,
                relax.const(random(5, 5, 64, 128), "float32"),
                padding=2,
                data_layout="NHWC",
                kernel_layout="HWIO",
            )
            result = builder.emit_output(convolution)
        builder.emit_func_output(result)
    module, _ = kernels_for(builder.get(), profile)
    (kernel,) = [one for name, one in module.functions.items() if name.name_hint != "main"]
    (shared,) = _parallel_extents(kernel)
    assert shared == extent if extent is not None else shared > 2


@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 12)])
@pytest.mark.parametrize("taps", [1, 5])
def test_shared_points_give_the_same(size: tuple[int, int], taps: int, tmp_path: Path) -> None:
    """Against ONNX Runtime, on two cores."""
    constants = {"w": random(96, 64, taps, taps, seed=1), "b": random(96, seed=2)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[taps // 2] * 4),
        helper.make_node("Relu", ["c"], ["out"]),
    ]
    inputs = {"x": random(1, 64, *size)}
    check(graph(tmp_path / "m.onnx", nodes, inputs, constants), inputs, cores=2)
