"""What `--dry-run` tells of variants that cannot be, or will not be what was asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgetvm.measure import Store
from edgetvm.measure.experiment.file import load_experiment
from edgetvm.workflow import plan_experiment
from edgetvm.workflow.experimenting import Planned

FILE = """\
name: odd
description: variants of which some cannot be
models:
  plain: {subject: tiny.onnx}
  guessed: {subject: tiny.onnx, quantize: {}}
  int8: {subject: tiny.onnx, quantize: {data: some.npz}}
  lite: {subject: dense.tflite, quantize: {data: some.npz}}
  lost: {subject: tiny.onnx, quantize: {data: nowhere}}
targets: {here: {profile: local}, wide: {profile: x86-avx512-vnni}, a53: {profile: beagleplay}}
baseline: {model: plain, target: here}
cross:
  - {model: [guessed, int8, lite, lost]}
  - {precision: [fp16], target: [a53]}
  - {target: [wide]}
  - {layout: [NCHW], opt_level: [1, 3]}
  - {model: [int8], layout: [NCHW]}
"""


@pytest.fixture
def planned(
    tmp_path: Path, tiny_onnx: Path, dense_tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Planned]:
    """By name, on a machine without AVX-512."""
    shutil.copy(tiny_onnx, tmp_path / "tiny.onnx")
    shutil.copy(dense_tflite, tmp_path / "dense.tflite")
    np.savez(tmp_path / "some.npz", x=np.zeros((1, 3, 4, 4), np.float32))
    (tmp_path / "odd.yaml").write_text(FILE)
    monkeypatch.setattr("edgetvm.package.executor.cpu_flags", lambda: frozenset({"avx2", "fma"}))
    store = Store(f"sqlite:///{tmp_path}/results.sqlite")
    return {
        one.name: one for one in plan_experiment(load_experiment(f"{tmp_path}/odd.yaml"), store)
    }


def told(planned: dict[str, Planned], *words: str) -> Planned:
    """The only one with all words in its name."""
    (found,) = [one for name, one in planned.items() if set(words) <= set(name.split(", "))]
    return found


def test_what_cannot_be_says_why_before_any_work(planned: dict[str, Planned]) -> None:
    for words, why in (
        (("guessed",), "nothing to calibrate on"),
        (("lite",), "only ONNX files can be quantised here"),
        (("lost",), "no such file or directory"),
        (("fp16",), "no arithmetic on vectors of float16"),
    ):
        assert why in told(planned, *words).why
    assert told(planned, "int8", "auto").why == ""
    assert told(planned, "int8", "auto").missing[0] == "build"


def test_what_is_not_as_asked_for_is_told(planned: dict[str, Planned]) -> None:
    wide = told(planned, "wide")
    assert wide.where.startswith("no board: it needs the CPU features avx512f")
    assert "build" in wide.missing
    (at_once,) = told(planned, "plain", "NCHW", "-O1").notes
    assert at_once == "NCHW changes nothing: -O2 is the first level that chooses layouts"
    assert told(planned, "plain", "NCHW", "-O3").notes == ()
    (sums,) = told(planned, "int8", "NCHW").notes
    assert "8-bit sums have channels last always" in sums
