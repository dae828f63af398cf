"""An 8-bit model on the board beside its float original: decisions, outputs, layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from made_models import write_layers

from edgetvm.base.errors import UsageError
from edgetvm.farm import Board
from edgetvm.measure import Plan
from edgetvm.recipes import ModelFile, Processing, Recipe
from edgetvm.recipes.recipe import InputSpec
from edgetvm.workflow import bench, find_subject, quantize

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A float model, the same in 8 bits, and inputs with labels."""
    folder = tmp_path_factory.mktemp("against")
    source, made = write_layers(folder / "m.onnx"), folder / "q.onnx"
    drawn = np.random.default_rng(0).uniform(-1, 1, (40, 16)).astype(np.float32)
    np.savez(folder / "in.npz", x=drawn)
    np.savez(folder / "labelled.npz", x=drawn, label=np.zeros(40, int))
    quantize(find_subject(str(source)), made, data=folder / "in.npz", method="minmax")
    return source, made, folder / "labelled.npz"


def answers(path: Path, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
    """What ONNX Runtime says of tensors inside, operators as they are defined."""
    model = onnx.load(path)
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(names, {session.get_inputs()[0].name: x})


def test_layers_and_decisions_are_compared(
    board: Board, files: tuple[Path, Path, Path], session_cache: Path
) -> None:
    source, made, labelled = files
    subject = find_subject(str(made))
    (entry,) = onnx.load(made).graph.input
    shape = tuple(axis.dim_value for axis in entry.type.tensor_type.shape.dim)
    recipe = Recipe(
        "m",
        "classes",
        "m",
        "MIT",
        ModelFile(path=made),
        inputs={"x": InputSpec(shape=shape)},
        data=Processing("npz", {"source": ModelFile(path=labelled), "labels": "label"}),
        postprocess=Processing("top-k"),
        metrics=("top1", "recall_pct"),
    )
    plan = Plan(runs=3, warmup=0, threads=1, allow_mismatch=True, against=str(source), layers=True)
    found = bench(replace(subject, recipe=recipe), board, plan)
    x = np.load(labelled)["x"]
    ours, theirs = (
        np.concatenate([answers(path, one[np.newaxis], ["y"])[0] for one in x])
        for path in (made, source)
    )
    same = 100 * float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    assert found.metrics["float_agreement_pct"] == pytest.approx(same, abs=5.1)
    assert found.metrics["top1"] == pytest.approx((ours.argmax(axis=1) == 0).mean(), abs=0.051)
    assert found.metrics["float_output_error_pct"] > 0
    assert found.confusion is not None
    assert sum(map(sum, found.confusion.counts)) == 40
    assert len(found.layers) >= 2
    assert all(layer.operator in ("Gemm", "MatMul", "Conv") for layer in found.layers)
    for layer in found.layers:
        pair = [
            np.concatenate([answers(path, one[np.newaxis], [layer.tensor])[0] for one in x[:8]])
            for path in (made, source)
        ]
        apart = 100 * np.sqrt(np.mean((pair[0] - pair[1]) ** 2) / np.mean(pair[1] ** 2))
        assert layer.error_pct == pytest.approx(apart, rel=0.05, abs=0.05)


def test_what_cannot_be_compared_is_refused(
    board: Board, files: tuple[Path, Path, Path], tiny_onnx: Path
) -> None:
    source, made, _ = files
    with pytest.raises(UsageError, match="no decisions to compare"):
        bench(find_subject(str(made)), board, Plan(against=str(source)))
    with pytest.raises(UsageError, match="--against FLOAT"):
        bench(find_subject(str(made)), board, Plan(layers=True))
    plan = Plan(runs=3, against=str(tiny_onnx), layers=True, allow_mismatch=True)
    with pytest.raises(UsageError, match="no layer has the same name in both"):
        bench(find_subject(str(made)), board, plan)
