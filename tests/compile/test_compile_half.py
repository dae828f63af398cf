"""Models computed in float16."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from compiled import graph, random
from onnx import helper

from edgetvm.base.errors import UsageError
from edgetvm.boards import load_profile
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile import Artifact, compile_model
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.kernels.contraction import Window, convolution, depthwise, pack, product
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.schedules import schedule_module
from edgetvm.compile.target import target_for
from edgetvm.models import import_model
from edgetvm.package import Executor

HALF = CompileOptions(precision="fp16")
PIXEL = Window((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], output, **attributes)


def compiled(path: Path, options: CompileOptions = HALF) -> Artifact:
    return compile_model(import_model(path), load_profile("local"), options=options, emulate=True)


def error(path: Path, artifact: Artifact, x: Any) -> float:
    """Largest difference to ONNX Runtime, by the largest value."""
    (expected,) = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    found = Executor(artifact.library, artifact.signature).run({"x": x})["out"]
    assert found.dtype == np.float32
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def workloads(artifact: Artifact) -> dict[str, str]:
    """What computes each node."""
    return {
        name: kernel.workload
        for kernel in artifact.kernels
        for names in kernel.nodes
        for name in names
    }


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nodes = [
        node("Conv", "x w", "conv", pads=[1, 1, 1, 1]),
        node("Relu", "conv", "relu"),
        node("Conv", "relu each", "depthwise", group=16, pads=[1, 1, 1, 1]),
        node("Add", "depthwise relu", "skip"),
        node("GlobalAveragePool", "skip", "mean"),
        node("Flatten", "mean", "flat"),
        node("MatMul", "flat dense", "logits"),
        node("Softmax", "logits", "out"),
    ]
    constants = {
        "w": random(16, 3, 3, 3),
        "each": random(16, 1, 3, 3, seed=1) / 4,
        "dense": random(16, 20, seed=2) / 4,
    }
    path = tmp_path_factory.mktemp("half") / "network.onnx"
    return graph(path, nodes, {"x": random(1, 3, 16, 16)}, constants)


def test_sums_are_half_and_delicate_operators_whole(network: Path) -> None:
    artifact = compiled(network)
    assert 1e-5 < error(network, artifact, random(1, 3, 16, 16, seed=3)) < 5e-3
    told = workloads(artifact)
    assert "x16 float16" in told["conv"]
    assert "float16" in told["depthwise"]
    assert "16x20 float16 -> 1x20 float16" in told["logits"]
    # What softmax reads was made float32, and the mean is summed as such.
    assert told["out"].startswith("softmax 1x20 -> 1x20")
    assert told["mean"].startswith("mean 1x16x16x16 -> ")
    plain = compiled(network, CompileOptions())
    assert "float16" not in "".join(workloads(plain).values())
    assert artifact.signature == plain.signature


def test_a_board_without_it_is_refused(network: Path) -> None:
    with pytest.raises(UsageError) as caught:
        compile_model(import_model(network), load_profile("rpi4"), options=HALF)
    told = "board profile rpi4: cortex-a72 has no arithmetic on vectors of float16"
    assert str(caught.value).startswith(told)
    assert "leave --precision out" in str(caught.value)


def test_constants_that_half_cannot_hold_stay_whole(tmp_path: Path) -> None:
    """A mask of the lowest float32 would become infinite, and times zero no number."""
    nodes = [
        node("MatMul", "x w", "scores"),
        node("Mul", "keep lowest", "mask"),
        node("Add", "scores mask", "masked"),
        node("Softmax", "masked", "out"),
    ]
    keep = np.zeros((1, 8), np.float32)
    keep[0, 5] = 1
    constants = {"w": random(8, 8), "keep": keep, "lowest": np.float32(-3.4e38)}
    path = graph(tmp_path / "mask.onnx", nodes, {"x": random(4, 8)}, constants)
    assert error(path, compiled(path), random(4, 8, seed=1)) < 5e-3


def test_a_tiny_addend_keeps_its_sum_from_being_zero(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x w", "product"),
        node("Add", "product least", "positive"),
        node("Log", "positive", "out"),
    ]
    constants = {"w": np.zeros((8, 8), np.float32), "least": np.float32(1e-7)}
    path = graph(tmp_path / "log.onnx", nodes, {"x": random(4, 8)}, constants)
    assert error(path, compiled(path), random(4, 8)) < 1e-3


def test_tables_are_stored_in_half_and_indices_are_not(tmp_path: Path) -> None:
    nodes = [
        node("ArgMax", "x", "at", axis=1, keepdims=0),
        node("Gather", "order at", "index"),
        node("Gather", "table index", "rows"),
        node("Add", "rows x", "out"),
    ]
    constants = {
        "order": np.arange(4999, -1, -1),  # float16 holds every whole number up to 2048 only
        "table": random(5000, 8),
    }
    path = graph(tmp_path / "table.onnx", nodes, {"x": random(4, 8)}, constants)
    artifact = compiled(path)
    assert 1e-6 < error(path, artifact, random(4, 8, seed=1)) < 5e-4
    assert (
        len(artifact.library) < len(compiled(path, CompileOptions()).library) - 5000 * 8 * 2 * 0.9
    )


def kernel(make: Any, *shapes: tuple[int, ...]) -> Any:
    from tvm import te

    inputs = [te.placeholder(shape, "float16", name=f"x{at}") for at, shape in enumerate(shapes)]
    return te.create_prim_func([*inputs, make(*inputs)], index_dtype_override="int64")


def library_of(function: Any, profile: BoardProfile) -> tuple[Any, str]:
    import tvm

    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    module, rules = schedule_module(module, profile)
    built = tvm.tirx.build(module, target=target_for(profile), pipeline=kernel_pipeline())
    return built, rules["main"].rule


KERNELS = {
    "product": (lambda a, b: product(a, b, 64, "float16"), (24, 512), (4, 512, 16)),
    "product, odd": (lambda a, b: product(a, b, 20, "float16"), (7, 37), (2, 37, 16)),
    "pixels": (
        lambda a, b: convolution(a, b, PIXEL, 32, 1, "float16"),
        (1, 9, 9, 192), (2, 192, 16),
    ),
    "depthwise": (
        lambda a, b: depthwise(a, b, Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1)), "float16"),
        (1, 9, 9, 24), (3, 3, 24),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_a_board_multiplies_eight_at_once(name: str) -> None:
    make, *shapes = KERNELS[name]
    library, rule = library_of(kernel(make, *shapes), load_profile("rpi5"))
    assert rule in ("register tile", "depthwise columns")
    assembly = library.inspect_source("asm")
    assert re.search(r"fmla\s+v\d+\.8h, v\d+\.8h, v\d+\.(8h|h\[\d\])", assembly)
    assert not re.search(r"fcvt|fmla\s+v\d+\.4[sh]", assembly)
    # Libraries are linked without compiler-rt.
    assert not re.search(r"\bbl\s+__(extend|trunc|gnu)", assembly)


def test_avx512_has_twice_the_lanes_too() -> None:
    profile = load_profile("x86-avx512-vnni")
    profile = dataclasses.replace(profile, features=(*profile.features, "+avx512fp16"))
    make, *shapes = KERNELS["product"]
    library, _ = library_of(kernel(make, *shapes), profile)
    assembly = library.inspect_source("asm")
    assert re.search(r"vfmadd\d+ph.*%[yz]mm", assembly)
    assert "vcvtph2ps" not in assembly


def test_the_rows_that_delicate_operators_work_on_are_converted_inline() -> None:
    """Softmax of float16, computed in float32: no call, and no float16 arithmetic."""
    from tvm import topi

    def softmax(x: Any) -> Any:
        return topi.cast(topi.nn.softmax(topi.cast(x, "float32")), "float16")

    library, rule = library_of(kernel(softmax, (12, 64)), load_profile("rpi5"))
    assembly = library.inspect_source("asm")
    assert rule == "rows"
    assert re.search(r"fcvtl\s+v\d+\.4s, v\d+\.4h", assembly)
    assert re.search(r"fcvtn\s+v\d+\.4h, v\d+\.4s", assembly)
    assert not re.search(r"\bbl\s+(__(extend|trunc|gnu)|exp)|f(add|mul)\s+v\d+\.8h", assembly)


def test_long_sums_are_taken_in_pieces() -> None:
    """One after the other, 4096 roundings would cost 7e-3 of what the sums are like."""
    import tvm

    function = kernel(lambda a, b: product(a, b, 32, "float16"), (8, 4096), (2, 4096, 16))
    library, _ = library_of(function, load_profile("local"))
    left = np.maximum(random(8, 4096), 0).astype(np.float16)
    right = (random(4096, 32, seed=1) / 64).astype(np.float16)
    out = np.zeros((8, 32), np.float16)
    tensors = [tvm.runtime.tensor(one) for one in (left, pack(right, 16), out)]
    library["main"](*tensors)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    found = tensors[-1].numpy().astype(np.float64)
    assert np.sqrt(np.mean((found - exact) ** 2)) < 2.5e-3 * exact.std()
