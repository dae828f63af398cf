"""The latency benchmark's processes, and one whole run of it on a tiny model."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import psutil
import pytest

from benchmarks.latency.case import Timings
from benchmarks.latency.machine import Peak, Roof
from benchmarks.latency.prepare import prepared
from benchmarks.latency.rounds import Plan, measure
from benchmarks.latency.suite import chosen
from edgetvm.measure.peers import crew
from edgetvm.measure.peers.case import Case, Task, Unavailable

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("latency")


@pytest.fixture(scope="module")
def tiny(tiny_onnx: Path, folder: Path) -> Case:
    (entry,) = chosen([str(tiny_onnx)])
    return prepared(entry, folder)


@pytest.fixture
def ort(tiny: Case, folder: Path) -> Iterator[crew.Worker]:
    """ONNX Runtime on the tiny model, loaded and asleep."""
    reasons: list[str] = []
    task = Task("onnxruntime", "", tiny, 1)
    workers = crew.start([task], 1, 300, lambda _, why: reasons.append(why))
    assert not reasons
    yield workers[0]
    crew.end(workers)


def test_a_case_has_inputs_and_the_runtimes_answers(tiny: Case) -> None:
    assert (tiny.kind, tiny.format, tiny.inputs, tiny.outputs) == (
        "fp32",
        "onnx",
        ("image",),
        ("scores",),
    )
    assert [array.shape for array in tiny.input_arrays()] == [(1, 3, 8, 8)]
    assert [array.shape for array in tiny.expected()] == [(1, 5)]


def test_a_file_with_open_shapes_gets_the_users(dynamic_onnx: Path, tmp_path: Path) -> None:
    (entry,) = chosen([str(dynamic_onnx)])
    with pytest.raises(Unavailable, match="give --shape"):
        prepared(entry, tmp_path)
    shapes = {"a": (2, 6), "b": (2, 3)}
    (entry,) = chosen([str(dynamic_onnx)], shapes)
    found = [array.shape for array in prepared(entry, tmp_path).input_arrays()]
    assert found == list(shapes.values())


def test_a_case_is_made_anew_when_the_file_changes(tiny_onnx: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(tiny_onnx.read_bytes())
    first = prepared(chosen([str(mine)])[0], tmp_path).data
    stamp = first.stat().st_mtime_ns
    assert prepared(chosen([str(mine)])[0], tmp_path).data.stat().st_mtime_ns == stamp
    os.utime(mine, ns=(1, 1))
    assert prepared(chosen([str(mine)])[0], tmp_path).data.stat().st_mtime_ns != stamp


def test_a_worker_sleeps_until_its_turn_and_after_it(ort: crew.Worker) -> None:
    process = psutil.Process(ort.process.pid)
    assert process.status() == psutil.STATUS_STOPPED
    used = ort.cpu_s()
    time.sleep(0.1)
    assert ort.cpu_s() == used
    samples = ort.turn(0.0, 0.01, 5)
    assert len(samples) >= 5
    assert all(sample > 0 for sample in samples)
    assert process.status() == psutil.STATUS_STOPPED


def test_a_worker_that_dies_says_how(ort: crew.Worker, tiny: Case, folder: Path) -> None:
    os.kill(ort.process.pid, signal.SIGKILL)
    timings = Timings(ort.task)
    crowd = [ort]
    measure(
        crowd, {ort: timings}, Plan(1, 0.01, 1, patience_s=0.1), Peak(folder), Roof(1, 1.0, 1.0)
    )
    assert timings.why == "the process died: signal SIGKILL"
    assert crowd == []


def test_a_worker_that_refuses_its_model_says_why(tiny: Case, folder: Path) -> None:
    broken = folder / "broken.onnx"
    broken.write_bytes(b"no model")
    case = Case("b", "fp32", broken, None, tiny.data, tiny.inputs, tiny.outputs)
    reasons: list[str] = []
    task = Task("onnxruntime", "", case, 1)
    assert crew.start([task], 1, 300, lambda _, why: reasons.append(why)) == []
    assert len(reasons) == 1
    assert "broken.onnx" in reasons[0]


def test_workers_die_with_their_parent_even_when_stopped(tiny: Case, folder: Path) -> None:
    program = f"""
from edgetvm.measure.peers import crew
from edgetvm.measure.peers.case import Case, Task
from pathlib import PosixPath
task = Task("onnxruntime", "", {tiny!r}, 1)
print(crew.start([task], 1, 300, print)[0].process.pid, flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=False
    )
    pid = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent")


def test_turns_in_which_a_core_is_missing_are_kept_apart(ort: crew.Worker, folder: Path) -> None:
    timings = Timings(ort.task)
    # No machine reaches this peak: as if cores were missing all the time.
    roof = Roof(1, 1e9, 1.0)
    turns = measure([ort], {ort: timings}, Plan(2, 0.01, 3, patience_s=0.1), Peak(folder), roof)
    assert timings.samples_ns == []
    # Two rounds, and then as many as there may be.
    assert len(timings.disturbed_ns) >= 6
    assert (turns.taken, turns.absent) == (6, 6)


def bench(folder: Path, model: Path, *more: str) -> tuple[dict[str, Any], list[str]]:
    """A run of the command: its JSON, and its lines."""
    command = [sys.executable, "-m", "benchmarks.latency", "--models", str(model)]
    command += ["--engines", "edgetvm,onnxruntime", "--threads", "1", "--rounds", "1"]
    command += ["--seconds", "0.05", "--samples", "1", "--patience", "0.1"]
    command += ["--folder", str(folder)]
    command += ["--json", str(folder / "out.json"), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out.json").read_text()), done.stdout.splitlines()


def multiply_adds(path: Path) -> int:
    """Of the tiny model: its kernel at each of 64 places, and its dense layer."""
    sizes = {one.name: one.dims for one in onnx.load(path).graph.initializer}
    dense = next(dims for name, dims in sizes.items() if name not in ("kernel", "bias"))
    return 64 * math.prod(sizes["kernel"]) + math.prod(dense)


def test_a_run_reports_what_its_samples_say(tiny: Case, tiny_onnx: Path, folder: Path) -> None:
    made, lines = bench(folder, tiny_onnx, "--plot", str(folder / "out.svg"))
    (row,) = made["rows"]
    assert (row["model"], row["threads"], row["kind"]) == ("tiny", 1, "fp32")
    samples = {
        (one["engine"], one["setting"]): [ns / 1e6 for ns in one["samples_ns"]]
        for one in row["results"]
    }
    for one in row["results"]:
        mine = sorted(samples[one["engine"], one["setting"]])
        assert one["latency"]["count"] == len(mine)
        assert one["latency"]["median_ms"] == median(mine)
        assert one["latency"]["min_ms"] == mine[0]
        assert one["latency"]["p90_ms"] == mine[min(int(len(mine) * 0.9), len(mine) - 1)]
        assert one["error"] < 1e-4
    own = median(samples["edgetvm", ""])
    peer = min(median(times) for (engine, _), times in samples.items() if engine == "onnxruntime")
    assert row["ratio"] == own / peer
    assert lines[-1] == (
        f"result: geomean_untuned_fp32={own / peer:.3f} worst_untuned_fp32={own / peer:.3f} "
        "geomean_untuned_int8=nan worst_untuned_int8=nan geomean_tuned_fp32=nan"
    )
    assert row["turns"]["idle_s"] == 0
    assert row["multiply_adds"] == multiply_adds(tiny_onnx)
    assert (folder / "out.svg").read_text().startswith("<svg")
    assert any(text.startswith("roofline: 1 thread: ") for text in lines)


def test_an_engine_that_answers_wrongly_has_no_time(tiny: Case, tiny_onnx: Path) -> None:
    right = dict(np.load(tiny.data))
    try:
        np.savez(tiny.data, **{**right, "output0": right["output0"][:, ::-1]})  # type: ignore[arg-type]
        made, lines = bench(tiny.data.parents[2], tiny_onnx)
    finally:
        np.savez(tiny.data, **right)  # type: ignore[arg-type]
    for one in made["rows"][0]["results"]:
        assert one["latency"] is None
        assert one["why"].startswith("wrong answer: off by ")
    assert lines[-1].startswith("result: geomean_untuned_fp32=nan ")
