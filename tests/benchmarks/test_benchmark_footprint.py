"""The footprint benchmark: sizes are those that readelf tells, chains are what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from real_board import onnx_runtime

from benchmarks.footprint.agreement import _agreement
from benchmarks.footprint.chain import chain, kernel_ns
from benchmarks.footprint.peers import opened
from benchmarks.footprint.sizes import size_of
from benchmarks.footprint.tflite_chain import as_tflite
from edgetvm.package.archive import packed, read_package
from edgetvm.package.crossbuild import RUNNER_FILE, build_runtime

KEPT = Path(__file__).parents[1] / "package" / "data" / "0.1.0-tiny.edgetvm"

pytestmark = pytest.mark.usefixtures("session_cache")


@pytest.mark.parametrize("architecture", ["aarch64", "armv7l"])
def test_loaded_bytes_are_those_of_the_segments(architecture: str) -> None:
    path = build_runtime(architecture, "musl").folder / RUNNER_FILE
    found = size_of("runner", path.read_bytes())
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.fail("readelf is not installed: run scripts/setup test")
    done = subprocess.run([readelf, "-lW", path], capture_output=True, text=True, check=True)
    rows = re.findall(r"LOAD\s+(?:0x\w+\s+){3}(0x\w+)\s+0x\w+\s+([RWE ]+?)\s+0x", done.stdout)
    assert rows
    assert found.file_bytes == path.stat().st_size
    assert found.loaded_bytes == sum(int(size, 16) for size, _ in rows)
    assert found.code_bytes == sum(int(size, 16) for size, flags in rows if "E" in flags)


def test_a_chain_adds_one_number_after_the_other(tmp_path: Path) -> None:
    case = chain(4, tmp_path)
    (given,) = case.input_arrays()
    found = onnx_runtime(case.file, {"x0": given})
    np.testing.assert_array_equal(found["x4"], case.expected()[0])
    assert case.expected()[0] == 1 + (1 + 2 + 3 + 4)


def test_the_chain_for_litert_is_the_same(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    case = as_tflite(chain(4, tmp_path))
    interpreter = Interpreter(model_path=str(case.file))
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], case.input_arrays()[0])
    interpreter.invoke()
    assert case.format == "tflite"
    np.testing.assert_array_equal(interpreter.get_tensor(answer["index"]), case.expected()[0])


def test_a_wrong_answer_is_told_and_no_agreement(tmp_path: Path) -> None:
    package = read_package(KEPT)
    wrong = {**package.members, "sample/output-0.bin": np.full(5, 9, "<f4").tobytes()}
    file = tmp_path / "wrong.edgetvm"
    file.write_bytes(packed(package.manifest, wrong))
    runner = [str(build_runtime("x86_64", "musl").folder / RUNNER_FILE)]
    found = _agreement("tiny", "x86-avx2", runner, file)
    assert not found.agrees
    assert "output scores differs from onnxruntime" in found.told
    right = _agreement("tiny", "x86-avx2", runner, KEPT)
    assert right.agrees
    assert "from onnxruntime" in right.told


def test_a_kernel_takes_time_and_a_peer_is_opened(tmp_path: Path) -> None:
    assert kernel_ns(tmp_path) > 0
    peer = opened("onnxruntime", chain(2, tmp_path))
    assert peer is not None
    assert peer.total_ms > 0 and peer.run_ms > 0 and peer.over_process_kb > 0
