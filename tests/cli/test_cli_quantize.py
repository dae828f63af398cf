"""`edgetvm quantize`, as users run it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
from real_command import Home, refused
from rich.console import Console

from edgetvm.boards import load_profile
from edgetvm.cli.quantize_views import next_command, quantized_view
from edgetvm.farm import Board
from edgetvm.farm.inventory import LOCAL
from edgetvm.models.model import Signature
from edgetvm.models.quantising import Layer
from edgetvm.workflow.quantising import (
    Comparison,
    Figure,
    Judge,
    LayerError,
    Quantized,
    Side,
)

_FIGURE = Figure("output_error_pct", "Error", None, 0.5, 0.5, 12)
MADE = Quantized(
    name="m",
    path=Path("m.int8.onnx"),
    recipe_path=None,
    method="minmax",
    calibration_samples=12,
    judged_samples=12,
    held_out=True,
    max_loss_pct=1.0,
    layers=(LayerError(Layer("conv", "Conv"), 0.5),),
    in_float=(),
    before=(_FIGURE,),
    after=(_FIGURE,),
    source_bytes=4096,
    size_bytes=2048,
    signature=Signature((), ()),
    judge=cast(Judge, None),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).uniform(-1, 1, (24, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=images)
    return tmp_path / "in.npz"


def test_one_document_and_one_file(home: Home, tiny_onnx: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("quantize", tiny_onnx, "--data", data, "--no-measure", "--max-loss", "5%")
    done = home.edgetvm(*arguments, "--json", folder=tmp_path, cold=True)
    assert done.code == 0, done.err
    assert done.is_clean()
    document = done.document
    assert document["file"] == "tiny.int8.onnx"
    onnx.checker.check_model(tmp_path / "tiny.int8.onnx")
    assert (document["calibration_samples"], document["judged_samples"]) == (12, 12)
    assert 0 < document["loss_pct"] <= document["max_loss_pct"] == 5
    assert {one["name"] for one in document["layers"]} == {"conv", "dense"}
    assert document["compared"] is None
    again = home.edgetvm("quantize", "tiny.int8.onnx", "--data", data, folder=tmp_path)
    assert again.code == 4
    assert "it is quantised already" in again.err
    shown = home.edgetvm(*arguments, "-o", "other.onnx", "--device", "rpi4", folder=tmp_path)
    assert shown.code == 0
    assert "edgetvm package other.onnx --device rpi4" in shown.out
    assert "output_error_pct" in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--max-loss", "0%", "--data", "in.npz"), 6, "loses more than 0 % with any of its layers"),
        (("--max-loss", "much", "--data", "in.npz"), 2, "'much' is no share: write 1% or 0.5%"),
        ((), 2, "there is nothing to calibrate on"),
        (("--device", "nowhere"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_ends_with_its_code(
    home: Home, tiny_onnx: Path, data: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = home.edgetvm("quantize", tiny_onnx, "--no-measure", *arguments, folder=data.parent)
    assert (done.code, done.is_clean()) == (code, True)
    assert said in done.err
    assert not list(data.parent.glob("*.onnx"))


def test_another_format_is_refused_before_any_work(
    home: Home, dense_tflite: Path, data: Path
) -> None:
    done = home.edgetvm("quantize", dense_tflite, "--data", data)
    assert refused(done, 4, "only ONNX files", "tflite", "quantise its ONNX file")
    assert "import" not in done.err


def test_what_comes_next_names_the_board() -> None:
    made = replace(MADE, recipe_path=Path("m.int8.yaml"))
    for target, command in (
        (LOCAL, "edgetvm bench m.int8.yaml"),
        (Board("my-rpi4", "rpi4"), "edgetvm bench m.int8.yaml --device my-rpi4"),
        (load_profile("rpi4"), "edgetvm package m.int8.yaml --device rpi4"),
    ):
        assert next_command(made, target) == command


@pytest.mark.parametrize(("on_board_pct", "is_told"), [(0.9, True), (1.1, False)])
def test_nothing_comes_next_where_too_much_is_lost(on_board_pct: float, is_told: bool) -> None:
    figures = (replace(MADE.after[0], value=on_board_pct, loss_pct=on_board_pct),)
    compared = Comparison("my-rpi4", Side(1, None), Side(1, None), figures)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(quantized_view(MADE, compared, "edgetvm bench it"))
    assert ("edgetvm bench it" in capture.get()) is is_told
