"""Fourier transforms, windows and reversal agree with ONNX Runtime or the onnx package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_agreement import agree, by_evaluator, by_onnxruntime, make

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model

RANDOM = np.random.default_rng(9)


def scalar(value: int) -> np.ndarray:
    return np.array(value, np.int64)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("axis", [1, 2])
def test_dft(tmp_path: Path, parts: int, inverse: int, axis: int) -> None:
    x = RANDOM.standard_normal((2, 6, 8, parts)).astype(np.float32)
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], inverse=inverse)
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], {"axis": scalar(axis)}, opset=20)
    agree(path, {"x": x}, by_evaluator, 2e-4)


@pytest.mark.parametrize("length", [5, 8, 12])
def test_half_a_dft_cut_and_filled(tmp_path: Path, length: int) -> None:
    x = RANDOM.standard_normal((1, 8, 1)).astype(np.float32)
    node = helper.make_node("DFT", ["x", "n"], ["y"], axis=1, onesided=1)
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], {"n": scalar(length)})
    agree(path, {"x": x}, by_evaluator, 2e-4)


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(tmp_path: Path, windowed: bool, onesided: int) -> None:
    x = RANDOM.standard_normal((2, 64, 1)).astype(np.float32)
    constants: dict[str, Any] = {"step": scalar(8), "n": scalar(16)}
    if windowed:
        constants["w"] = np.hanning(16).astype(np.float32)
    node = helper.make_node(
        "STFT", ["x", "step", "w" if windowed else "", "n"], ["y"], onesided=onesided
    )
    path = make(tmp_path / "m.onnx", [node], {"x": x}, ["y"], constants)
    agree(path, {"x": x}, by_onnxruntime, 2e-4)


def test_a_speech_front_end(tmp_path: Path) -> None:
    """Window, STFT, power, mel bands, logarithm: constants fold, the rest agrees."""
    x = RANDOM.standard_normal((1, 400, 1)).astype(np.float32)
    constants = {
        "step": scalar(40),
        "n": scalar(80),
        "bands": scalar(10),
        "rate": scalar(8000),
        "low": np.array(20, np.float32),
        "high": np.array(4000, np.float32),
        "one": np.array(1e-3, np.float32),
        "last": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("HannWindow", ["n"], ["w"]),
        helper.make_node("STFT", ["x", "step", "w", "n"], ["spectrum"]),
        helper.make_node("ReduceSumSquare", ["spectrum"], ["power"], axes=[3], keepdims=0),
        helper.make_node("MelWeightMatrix", ["bands", "n", "rate", "low", "high"], ["mel"]),
        helper.make_node("MatMul", ["power", "mel"], ["energies"]),
        helper.make_node("Add", ["energies", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["y"]),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": x}, ["y"], constants)
    agree(path, {"x": x}, by_evaluator, 5e-4)


@pytest.mark.parametrize("operator", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(tmp_path: Path, operator: str, periodic: int) -> None:
    x = RANDOM.standard_normal(12).astype(np.float32)
    nodes = [
        helper.make_node(operator, ["n"], ["w"], periodic=periodic),
        helper.make_node("Mul", ["x", "w"], ["y"]),
    ]
    path = make(tmp_path / "m.onnx", nodes, {"x": x}, ["y"], {"n": scalar(12)})
    agree(path, {"x": x})


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0)])
def test_reverse_sequence_of_lengths_given_at_run_time(
    tmp_path: Path, time: int, batch: int
) -> None:
    inputs = {
        "x": RANDOM.standard_normal((4, 4, 2)).astype(np.float32),
        "n": np.array([1, 2, 4, 3], np.int64),
    }
    node = helper.make_node("ReverseSequence", ["x", "n"], ["y"], time_axis=time, batch_axis=batch)
    agree(make(tmp_path / "m.onnx", [node], inputs, ["y"]), inputs)


def test_a_length_beyond_the_end_reads_nothing_there(tmp_path: Path) -> None:
    x = RANDOM.standard_normal((3, 2)).astype(np.float32)
    inputs = {"x": x, "n": np.array([9, 2], np.int64)}
    node = helper.make_node("ReverseSequence", ["x", "n"], ["y"])
    expected = np.stack([x[::-1, 0], x[[1, 0, 2], 1]], 1)
    agree(make(tmp_path / "m.onnx", [node], inputs, ["y"]), inputs, lambda *_: [expected])


def test_as_many_lengths_as_sequences(tmp_path: Path) -> None:
    inputs = {"x": RANDOM.standard_normal((3, 2)).astype(np.float32), "n": np.array([1])}
    node = helper.make_node("ReverseSequence", ["x", "n"], ["y"], "turn")
    with pytest.raises(ModelUnreadableError, match=r"'turn': .* lengths for 2 sequences"):
        import_model(make(tmp_path / "m.onnx", [node], inputs, ["y"]))
