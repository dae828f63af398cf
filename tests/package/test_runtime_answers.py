"""The C runtime's answers: those of the reference runtime and of edgetvm's own executor."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from built_runtime import Builds, Runner
from made_packages import packed
from numpy.typing import NDArray

from edgetvm.models.correctness import worst_error
from edgetvm.package import Executor

Arrays = Mapping[str, NDArray[Any]]


def ran(runner: Runner, made: Any, inputs: Arrays, folder: Path, *more: str) -> Arrays:
    """What the runner writes as outputs, by name."""
    given = []
    for index, (name, array) in enumerate(inputs.items()):
        path = folder / f"{index}.npy"
        np.save(path, array)
        given += ["--input", f"{name}={path}"]
    runner(made.path, *given, "--output", folder, *more)
    outputs = made.model.signature.outputs
    return {one.name: np.load(folder / f"output-{i}.npy") for i, one in enumerate(outputs)}


def drawn(made: Any, seed: int) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        spec.name: (random.standard_normal(spec.shape) * 3).astype(spec.dtype)
        for spec in made.model.signature.inputs
    }


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64", "armv7l"])
@pytest.mark.parametrize("name", ["wake_word", "shared", "stream"])
def test_every_architecture_passes_the_self_test(
    name: str, architecture: str, builds: Builds, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(name)
    done = builds.static(architecture)(made.path, "--self-test", "--json", "--repeat", 3)
    told = json.loads(done.stdout)
    assert told["architecture"] == architecture
    assert told["name"] == made.model.name
    assert told["self_test"]["max_relative_error"] <= told["self_test"]["tolerance"] < 0.01
    assert told["self_test"]["reference"] == made.checked.correctness.reference
    assert (told["warmup"], len(told["samples_ns"])) == (5, 3)
    # What Linux tells of itself since 6.1, and QEMU hands on.
    is_known = Path("/proc/sys/kernel/arch").exists()
    seen = is_known and architecture != "x86_64"
    assert told["emulated"] is (seen or "qemu" in told["target"])
    assert min(told["samples_ns"]) == told["run_ns"]["min"] <= told["run_ns"]["p50"]


@pytest.mark.parametrize("build", ["gcc", "clang"])
def test_answers_are_those_of_onnx_runtime_and_of_our_executor(
    build: str, builds: Builds, shared: Any, tmp_path: Path
) -> None:
    inputs = drawn(shared, 11)
    found = ran(builds.native(build), shared, inputs, tmp_path, "--threads", "2")
    session = onnxruntime.InferenceSession(shared.model.source)
    (reference,) = session.run(None, dict(inputs))
    np.testing.assert_allclose(found["y"], reference, atol=1e-4 * np.abs(reference).max())
    artifact = shared.artifacts[0]
    own = Executor(artifact.library, artifact.signature).run(inputs)
    np.testing.assert_array_equal(found["y"], own["y"])


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64", "armv7l"])
def test_wide_numbers_are_exact(
    architecture: str, builds: Builds, wide: Any, tmp_path: Path
) -> None:
    """Where an architecture has no instruction for them, the runtime has functions."""
    a = [9_007_199_254_740_993, -(2**62) - 1, 2**53 + 2**29 + 1, -7, 0, 2**63 - 1, 5, -(2**40)]
    b = [3, 2**31, -5, 2, 9, -1, 2**62, 2**33 - 1]
    inputs = {"a": np.array(a, np.int64), "b": np.array(b, np.int64)}
    found = ran(builds.static(architecture), wide, inputs, tmp_path)
    session = onnxruntime.InferenceSession(wide.model.source)
    names = [one.name for one in session.get_outputs()]
    reference = dict(zip(names, session.run(None, inputs), strict=True))
    np.testing.assert_array_equal(found["single"], inputs["a"].astype(np.float32))
    np.testing.assert_array_equal(found["double"], inputs["a"].astype(np.float64))
    np.testing.assert_array_equal(found["rest"], reference["rest"])
    # Python's division rounds down, that of ONNX towards zero.
    exact = [
        abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1) for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(found["quotient"], np.array(exact, np.int64))
    fits = np.abs(found["single"]) < 2.0**62
    halves = (found["single"] * np.float32(0.5)).astype(np.int64)
    np.testing.assert_array_equal(found["whole"][fits], halves[fits])


def test_a_stream_is_carried_and_begins_anew(builds: Builds, stream: Any, tmp_path: Path) -> None:
    """`total` = `sum` + `chunk`: after N runs N times the chunk, beside what `sum` began with."""
    runner = builds.native()
    chunk = np.array([[1, 2, 3, 4]], np.float32)
    begun = {"chunk": chunk, "sum": np.full((1, 4), 10, np.float32)}
    for runs in (1, 4):
        found = ran(runner, stream, begun, tmp_path, "--repeat", str(runs))
        np.testing.assert_array_equal(found["total"], 10 + runs * chunk)


def test_answers_and_threads_are_told(builds: Builds, shared: Any, tmp_path: Path) -> None:
    given = tmp_path / "x.npy"
    (array,) = drawn(shared, 5).values()
    np.save(given, array)
    line = (shared.path, "--input", given, "--output", tmp_path)
    told = json.loads(builds.native()(*line, "--json", "--threads", 99).stdout)
    found = np.load(tmp_path / "output-0.npy")
    (answer,) = told["answers"]
    assert answer["name"] == "y"
    np.testing.assert_allclose(answer["first"], found.reshape(-1)[:4], rtol=1e-6)
    np.testing.assert_allclose(answer["largest"], found.max(), rtol=1e-6)
    assert answer["largest_at"] == found.argmax()
    cores = len(os.sched_getaffinity(0))
    assert (told["threads"], told["cores"], told["warmup"]) == (99, cores, 0)
    text = builds.native()(*line, "--threads", 99).stdout
    assert f"more threads than the {cores} core" in text
    assert "more threads" not in builds.native()(*line, "--threads", 1).stdout


def test_kernels_are_told_with_their_times(builds: Builds, wake_word: Any) -> None:
    done = builds.native()(wake_word.path, "--profile", "--json", "--repeat", 5, "--warmup", 2)
    told = json.loads(done.stdout)
    artifact = wake_word.artifacts[0]
    calls = {kernel.name: kernel.calls for kernel in artifact.kernels}
    names = [one["name"] for one in told["kernels"]]
    assert {name: names.count(name) for name in names} == calls
    assert 0 < sum(one["mean_ns"] for one in told["kernels"]) <= told["run_ns"]["max"] * 1.5


def test_the_package_tells_what_it_is(builds: Builds, stream: Any) -> None:
    text = builds.native()(stream.path, "--info").stdout
    assert "input  sum: float32[1, 4], state" in text
    assert "output doubled: float32[1, 4]\n" in text
    told = json.loads(builds.native()(stream.path, "--info", "--json").stdout)
    assert told["inputs"][1] == {"name": "sum", "dtype": "float32", "shape": [1, 4], "state": True}
    assert told["target"] == "local"
    assert told["signed"] is False
    assert "samples_ns" not in told


def test_what_a_package_says_does_not_reach_the_terminal(
    builds: Builds, stream: Any, tmp_path: Path
) -> None:
    """Escape sequences of terminals begin with U+001B, or with U+009B."""
    told = json.loads(json.dumps(stream.manifest))
    told["name"] = "evil\x1b[2J\x9b2J\x7f é"
    told["signature"]["outputs"][0]["name"] = "out\x1b]0;x\x07"
    told["signature"]["states"] = []
    path = tmp_path / "evil.edgetvm"
    path.write_bytes(packed(told, stream.members))
    text = builds.sanitized()(path, "--info").stdout
    assert text.startswith("evil?[2J??2J? é for local")
    assert "output out?]0;x?: float32" in text
    assert "\x1b" not in builds.sanitized()(path, "--input", "a=b", "--repeat", 1, code=3).stderr


def test_a_sample_of_no_reference_is_compared_too(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    told = json.loads(json.dumps(tiny.manifest))
    told["targets"][0]["correctness"] = None
    wrong = {**tiny.members, "sample/output-0.bin": np.full(5, 9, "<f4").tobytes()}
    path = tmp_path / "wrong.edgetvm"
    path.write_bytes(packed(told, wrong))
    done = builds.sanitized()(path, "--self-test", code=20)
    assert "output scores differs from the sample by " in done.stderr


@pytest.mark.parametrize("initial", [1e10, -1e30])
def test_a_real_state_may_begin_with_any_number(
    initial: float, builds: Builds, stream: Any, tmp_path: Path
) -> None:
    told = json.loads(json.dumps(stream.manifest))
    told["signature"]["states"][0]["initial"] = initial
    path = tmp_path / "far.edgetvm"
    path.write_bytes(packed(told, stream.members))
    builds.sanitized()(path)


@pytest.mark.parametrize("begin", [b"", bytes(4096), b"#!/bin/sh\n" + bytes(4086)])
def test_anything_may_stand_before_a_package(
    begin: bytes, builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "after.edgetvm"
    path.write_bytes(begin + tiny.path.read_bytes())
    builds.native()(path, "--self-test")


def test_one_executable_holds_runner_and_package(builds: Builds, tiny: Any, tmp_path: Path) -> None:
    program = Path(builds.static("x86_64").command[0]).read_bytes()
    path = tmp_path / "tiny"
    path.write_bytes(program + bytes(-len(program) % 4096) + tiny.path.read_bytes())
    path.chmod(0o755)
    assert "self-test passed" in Runner((str(path),))("--self-test").stdout
    # Without a package of its own it asks for one.
    assert "edgetvm-run PACKAGE" in builds.native()("--self-test", code=2).stderr


def test_errors_are_measured_as_edgetvm_measures_them(
    builds: Builds, shared: Any, tmp_path: Path
) -> None:
    """A package whose sample is off by what the tolerance refuses, and by a little less."""
    runner = builds.native()
    random = np.random.default_rng(3)
    sample = {name: array.copy() for name, array in shared.checked.sample_outputs.items()}
    wanted = sample["y"]
    wanted += random.standard_normal(wanted.shape).astype(np.float32) * 0.02
    found = Executor(shared.artifacts[0].library, shared.model.signature).run(
        shared.checked.sample_inputs
    )
    error = worst_error(found, sample).max_relative_error
    path = tmp_path / "off.edgetvm"
    for tolerance, code in ((error * 1.001, 0), (error * 0.999, 20)):
        manifest = json.loads(json.dumps(shared.manifest))
        for target in manifest["targets"]:
            target["correctness"]["tolerance"] = tolerance
        members = {**shared.members, "sample/output-0.bin": wanted.tobytes()}
        path.write_bytes(packed(manifest, members))
        told = runner(path, "--self-test", code=code)
        assert code == 0 or "differs from" in told.stderr
