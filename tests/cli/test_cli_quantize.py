"""`edgetvm quantize`, as users run it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from real_command import Home


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).uniform(-1, 1, (24, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=images)
    return tmp_path / "in.npz"


def test_one_document_and_one_file(home: Home, tiny_onnx: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("quantize", tiny_onnx, "--data", data, "--no-measure", "--max-loss", "5%")
    done = home.edgetvm(*arguments, "--json", folder=tmp_path)
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
    shown = home.edgetvm(*arguments, "-o", "other.onnx", folder=tmp_path)
    assert shown.code == 0
    assert "edgetvm bench other.onnx" in shown.out
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
