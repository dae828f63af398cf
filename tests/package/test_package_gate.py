"""The gate before packaging, and the checks before running."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from made_models import value, write, write_tiny
from onnx import helper

from edgetvm.base.errors import InputError, NumericError, PackageError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.compile import Artifact, CompileOptions, compile_model
from edgetvm.models import Model, import_model
from edgetvm.models.correctness import worst_error
from edgetvm.models.fills import fill
from edgetvm.package import TOLERANCE, Executor, check
from edgetvm.package.archive import verify_package
from edgetvm.package.assembly import build_package
from edgetvm.package.executor import check_machine
from edgetvm.package.gate import HALF_TOLERANCE, tolerance_of
from edgetvm.package.manifest import TargetNeeds


@pytest.fixture(scope="module")
def model(tiny_onnx: Path) -> Model:
    return import_model(tiny_onnx)


@pytest.fixture(scope="module")
def artifact(model: Model) -> Artifact:
    return compile_model(model, load_profile("local"))


@pytest.fixture(scope="module")
def wrong(models: Path) -> Artifact:
    """A model of the same form with other weights, under the same name."""
    path = write_tiny(models / "other.onnx", seed=1)
    return compile_model(import_model(path, name="tiny"), load_profile("local"))


def test_a_right_model_passes(artifact: Artifact, model: Model) -> None:
    events: list[StepEvent] = []
    with listening(events.append):
        checked = check(artifact, model)
    correctness = checked.correctness
    assert correctness.passed
    assert correctness.reference == f"onnxruntime {onnxruntime.__version__}"
    assert correctness.max_relative_error < 1e-5
    assert correctness.tolerance == TOLERANCE == 1e-3
    assert (correctness.inputs, correctness.checked_on) == ("random, seed 0", "this machine")
    image = fill(model.signature, "random")["image"]
    np.testing.assert_array_equal(checked.sample_inputs["image"], image)
    (scores,) = onnxruntime.InferenceSession(str(model.source)).run(None, {"image": image})
    np.testing.assert_array_equal(checked.sample_outputs["scores"], scores)
    assert [event.title for event in events][-1] == "check against the reference"


def test_given_inputs_are_used(artifact: Artifact, model: Model) -> None:
    image = np.full((1, 3, 8, 8), 0.25, np.float32)
    checked = check(artifact, model, {"image": image})
    assert checked.correctness.inputs == "given"
    assert checked.sample_inputs["image"] is image
    with pytest.raises(InputError, match=r"input 'image' is float32\[8, 8\]"):
        check(artifact, model, {"image": image[0, 0]})


def test_a_wrong_model_is_refused(wrong: Artifact, model: Model) -> None:
    inputs = fill(model.signature, "random")
    right = onnxruntime.InferenceSession(str(model.source)).run(None, inputs)[0]
    other = onnxruntime.InferenceSession(str(model.source.parent / "other.onnx")).run(None, inputs)
    difference = float(np.abs(right - other[0]).max())
    with pytest.raises(NumericError) as caught:
        check(wrong, model)
    told = str(caught.value)
    assert told.startswith("tiny: output 'scores' differs from onnxruntime ")
    assert f"by {difference:.3g} (" in told
    assert "0.001 allowed; inputs: random, seed 0)" in told
    assert "--allow-mismatch" in told
    assert caught.value.exit_code == 6


def test_a_wrong_model_can_be_packaged_on_demand(wrong: Artifact, model: Model) -> None:
    checked = check(wrong, model, allow_mismatch=True)
    assert not checked.correctness.passed
    data = build_package(wrong, checked.correctness, checked.sample_inputs, checked.sample_outputs)
    package = verify_package(data, "m")
    assert package.manifest.targets[0].correctness == checked.correctness
    # It says itself how wrong it is.
    answers = Executor.of(package).run(package.sample_inputs)
    error = worst_error(answers, package.sample_outputs)
    assert error.max_abs_error == pytest.approx(checked.correctness.max_abs_error, rel=1e-5)


def test_the_tolerance_decides(wrong: Artifact, model: Model) -> None:
    error = check(wrong, model, allow_mismatch=True).correctness.max_relative_error
    assert check(wrong, model, tolerance=error * 1.01).correctness.passed
    with pytest.raises(NumericError):
        check(wrong, model, tolerance=error * 0.99)


@pytest.mark.parametrize("name", ["rpi4", "rpi3-32"])
def test_a_model_for_another_machine_says_where_it_was_checked(name: str, model: Model) -> None:
    artifact = compile_model(model, load_profile(name))
    checked = check(artifact, model)
    assert checked.correctness.passed
    assert checked.correctness.checked_on == "this machine, compiled by the same passes"
    data = build_package(
        artifact, checked.correctness, checked.sample_inputs, checked.sample_outputs
    )
    package = verify_package(data, "m")
    assert package.manifest.targets[0].profile == name
    with pytest.raises(PackageError, match="it is compiled for"):
        Executor.of(package)


_HALF = CompileOptions(precision="fp16")


def test_float16_is_judged_by_its_own_bound_and_shown_beside_float32(model: Model) -> None:
    checked = check(compile_model(model, load_profile("rpi5"), options=_HALF), model)
    correctness = checked.correctness
    assert correctness.tolerance == tolerance_of(_HALF) == HALF_TOLERANCE
    assert correctness.float32_error is not None
    assert correctness.float32_error < 1e-5 < correctness.max_relative_error < 5e-3
    artifact = compile_model(model, load_profile("rpi5"), options=_HALF)
    data = build_package(artifact, correctness, checked.sample_inputs, checked.sample_outputs)
    (target,) = verify_package(data, "m").manifest.targets
    assert (target.options, target.correctness) == (_HALF, correctness)


def test_what_float16_cannot_hold_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["small"], "first"),
        helper.make_node("MatMul", ["small", "large"], ["huge"], "second"),
        helper.make_node("MatMul", ["huge", "tiny"], ["out"], "third"),
    ]
    ones = np.ones((4, 4), np.float32)
    constants = {"w": ones, "large": 60000 * ones, "tiny": ones / 60000}
    path = write(
        tmp_path / "huge.onnx", nodes, [value("x", (2, 4))], [value("out", (2, 4))], constants
    )
    model = import_model(path)
    artifact = compile_model(model, load_profile("rpi5"), options=_HALF)
    with pytest.raises(NumericError) as caught:
        check(artifact, model, {"x": np.ones((2, 4), np.float32)})
    told = "huge: second goes beyond 65504, the largest number of float16 (inputs: given)"
    assert str(caught.value) == f"{told} (compile in float32: leave --precision out)"


def test_inputs_that_the_reference_refuses_are_told(integers_onnx: Path) -> None:
    model = import_model(integers_onnx)
    artifact = compile_model(model, load_profile("local"))
    beyond = {"index": np.array([0, 99]), "offset": np.zeros(3, np.int32)}
    with pytest.raises(InputError, match="out of data bounds"):
        check(artifact, model, beyond)


def test_another_architecture_is_refused() -> None:
    for name in ("rpi4", "qemu-armv7"):
        needs = TargetNeeds.of(load_profile(name))
        with pytest.raises(PackageError) as caught:
            check_machine(needs)
        assert caught.value.what == f"it is compiled for {needs.architecture} ({name})"
        assert f"this machine is {platform.machine()}" in (caught.value.mend or "")


def test_a_missing_cpu_feature_is_refused() -> None:
    local = TargetNeeds.of(load_profile("local"))
    check_machine(local)
    one = replace(local, required_cpu_flags=(*local.required_cpu_flags, "amx9"))
    with pytest.raises(PackageError, match=r"needs the CPU feature amx9 \(this CPU lacks it: "):
        check_machine(one)
    two = replace(local, required_cpu_flags=("amx9", *local.required_cpu_flags, "sse9"))
    with pytest.raises(PackageError, match=r"CPU features amx9, sse9 \(this CPU lacks them: "):
        check_machine(two)


def test_an_executor_refuses_what_does_not_fit(artifact: Artifact) -> None:
    executor = Executor(artifact.library, artifact.signature)
    with pytest.raises(InputError, match="there is no input 'picture'"):
        executor.run({"picture": np.zeros((1, 3, 8, 8), np.float32)})
    image = np.random.default_rng(2).random((1, 8, 8, 3), np.float32).transpose(0, 3, 1, 2)
    first = executor.run({"image": image})["scores"]
    again = executor.run({"image": np.ascontiguousarray(image)})["scores"]
    np.testing.assert_array_equal(first, again)
    assert executor.run_ns() > 0
    np.testing.assert_array_equal(executor.outputs()["scores"], again)


def test_a_result_whose_size_depends_on_the_data_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["chosen"])]
    path = write(
        tmp_path / "nms.onnx",
        nodes,
        [value("boxes", [1, 6, 4]), value("scores", [1, 1, 6])],
        [value("chosen", [None, 3], "INT64")],
        {"most": np.array([6], np.int64)},
    )
    model = import_model(path)
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (1, 6, 1))
    scores = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(1, 1, 6)
    artifact = compile_model(model, load_profile("local"))
    with pytest.raises(InputError, match=r"output 'chosen' is \[1, 3\].*cut the model before"):
        check(artifact, model, {"boxes": boxes, "scores": scores})
