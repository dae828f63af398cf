"""Fills, errors by hand, and reference runtimes that agree with each other."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from made_models import value, write
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

import edgetvm
from edgetvm.base.errors import InputError, UsageError
from edgetvm.models import ImportOptions, Signature, TensorSpec, import_model
from edgetvm.models.correctness import Correctness, worst_error
from edgetvm.models.fills import fill
from edgetvm.models.reference import Source, reference_for, run_stream

INF, NAN = math.inf, math.nan


def f32(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


# By hand: largest difference, and the same beside the values around it.
ERRORS = [
    ({"y": f32(1, 2)}, {"y": f32(1, 2)}, ("y", 0, 0)),
    ({"y": f32(1, 2.5)}, {"y": f32(1, 2)}, ("y", 0.5, 0.25)),
    ({"y": f32(-6, 4)}, {"y": f32(-4, 4)}, ("y", 2, 0.5)),
    ({"a": f32(11), "b": f32(3)}, {"a": f32(10), "b": f32(2)}, ("b", 1, 0.5)),
    ({"a": f32(3), "b": f32(11)}, {"a": f32(2), "b": f32(10)}, ("a", 1, 0.5)),
    ({"y": f32(INF, -INF, 1)}, {"y": f32(INF, -INF, 1)}, ("y", 0, 0)),
    ({"y": f32(NAN, 1)}, {"y": f32(NAN, 1)}, ("y", 0, 0)),
    ({"y": f32(NAN, 1)}, {"y": f32(1, NAN)}, ("y", INF, INF)),
    ({"y": f32(NAN)}, {"y": f32(0)}, ("y", INF, INF)),
    ({"y": f32(0)}, {"y": f32(NAN)}, ("y", INF, INF)),
    ({"y": f32(INF)}, {"y": f32(-INF)}, ("y", INF, INF)),
    ({"y": f32(INF, 3)}, {"y": f32(INF, 4)}, ("y", 1, 0.25)),
    ({"y": f32(1, 2)}, {"y": f32(1, 2, 3)}, ("y", INF, INF)),
    ({"y": f32(1, 2)}, {"y": f32(1, 2).reshape(1, 2)}, ("y", INF, INF)),
    ({}, {"y": f32(1)}, ("y", INF, INF)),
    ({"y": f32(1), "z": f32(5)}, {"y": f32(1)}, ("y", 0, 0)),
    ({"y": f32()}, {"y": f32()}, ("y", 0, 0)),
    ({}, {}, ("", 0, 0)),
    ({"y": np.array([True, False])}, {"y": np.array([True, True])}, ("y", 1, INF)),
    ({"y": np.array([250], np.uint8)}, {"y": np.array([5], np.uint8)}, ("y", 245, 49)),
    ({"y": np.array(3)}, {"y": np.array(2)}, ("y", 1, INF)),
    # One quantum of an 8-bit tensor is rounding, two are not.
    ({"y": np.array([4, 9], np.int8)}, {"y": np.array([5, 9], np.int8)}, ("y", 1, 0)),
    ({"y": np.array([3, 8], np.int8)}, {"y": np.array([5, 8], np.int8)}, ("y", 2, 0.25)),
    ({"y": f32(1)}, {"y": np.array([1.0])}, ("y", INF, INF)),
    # Boxes of 640 pixels and scores of 1 in one tensor: a score is judged beside scores.
    (
        {"y": np.array([[640.0, 320.0], [0.5, 1.0]])},
        {"y": np.array([[640.0, 320.0], [1.0, 1.0]])},
        ("y", 0.5, 0.5 / 6.4),
    ),
    (
        {"y": np.array([0.5, 1.0], np.float16)},
        {"y": np.array([0.75, 1.0], np.float16)},
        ("y", 0.25, 0.25 / 16),
    ),
    # Below a hundredth an output is judged more mildly, but zeros instead of it are found.
    ({"y": np.array([9e-4])}, {"y": np.array([1e-3])}, ("y", 1e-4, 1e-2)),
    ({"y": np.array([9.9e-6])}, {"y": np.array([1e-5])}, ("y", 1e-7, 2e-4)),
    ({"y": np.array([0.0])}, {"y": np.array([1e-5])}, ("y", 1e-5, 0.02)),
]


@pytest.mark.parametrize(("found", "expected", "error"), ERRORS)
def test_errors_by_hand(
    found: dict[str, NDArray[np.generic]],
    expected: dict[str, NDArray[np.generic]],
    error: tuple[str, float, float],
) -> None:
    worst = worst_error(found, expected)
    output, absolute, relative = error
    assert worst.output == output
    assert worst.max_abs_error == pytest.approx(absolute)
    assert worst.max_relative_error == pytest.approx(relative)


def test_the_root_mean_square_is_that_of_all_elements() -> None:
    worst = worst_error({"y": f32(3, 4, 0, 6)}, {"y": f32(3, 4, 0, 0)})
    assert worst.rms_relative_error == pytest.approx(6 / 5)


@pytest.mark.parametrize(
    ("relative", "passed"), [(0.0, True), (1e-3, True), (1.1e-3, False), (INF, False), (NAN, False)]
)
def test_what_passes(relative: float, passed: bool) -> None:
    assert Correctness("r", 0.0, relative, 1e-3, "y", 1, "given").passed is passed


def spec_of(*specs: tuple[str, tuple[int, ...], str]) -> Signature:
    return Signature(tuple(TensorSpec(*one) for one in specs), ())


EVERY = spec_of(
    ("f2", (500,), "float16"),
    ("f4", (500,), "float32"),
    ("f8", (500,), "float64"),
    ("i1", (500,), "int8"),
    ("u1", (500,), "uint8"),
    ("i2", (500,), "int16"),
    ("i4", (500,), "int32"),
    ("i8", (500,), "int64"),
    ("b", (500,), "bool"),
    ("s", (), "float32"),
    ("none", (0, 3), "int64"),
)


@pytest.mark.parametrize("mode", ["zeros", "ones", "random"])
def test_a_fill_fits_the_signature(mode: str) -> None:
    EVERY.check_inputs(fill(EVERY, mode))  # type: ignore[arg-type]


def test_fills_are_what_they_say() -> None:
    assert all(not array.any() for array in fill(EVERY, "zeros").values())
    assert all((array == 1).all() for array in fill(EVERY, "ones").values())
    random = fill(EVERY, "random")
    for name in ("f2", "f4", "f8"):
        assert 0 <= random[name].min() < 0.1
        assert 0.9 < random[name].max() <= 1
    assert random["i1"].min() < -100
    assert random["i1"].max() > 100
    assert random["u1"].min() < 30
    assert random["u1"].max() > 225
    assert random["i2"].max() > 30_000
    for name in ("i4", "i8", "b"):
        assert set(random[name].tolist()) == {0, 1}


def test_a_seed_gives_the_same_numbers_again() -> None:
    first, again, other = fill(EVERY, "random"), fill(EVERY, "random", 0), fill(EVERY, "random", 1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["f4"], other["f4"])
    with pytest.raises(UsageError, match=r"fill mode 'noise' \(one of zeros, ones, random\)"):
        fill(EVERY, "noise")  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 70_000), max_size=6))
def test_sizes_are_exact(shape: list[int]) -> None:
    assert TensorSpec("x", tuple(shape), "float64").size_bytes == 8 * math.prod(shape)


def test_onnx_references_agree(
    tiny_onnx: Path, integers_onnx: Path, odd_names_onnx: Path, dynamic_onnx: Path
) -> None:
    for path in (tiny_onnx, integers_onnx, odd_names_onnx, dynamic_onnx):
        model = import_model(path)
        inputs = fill(model.signature, "random", 3)
        reference = reference_for(Source.of(model))
        assert reference.name == f"onnxruntime {onnxruntime.__version__}"
        answers = reference.run(inputs)
        assert list(answers) == [spec.name for spec in model.signature.outputs]
        numpy_answers = ReferenceEvaluator(onnx.load(path)).run(None, dict(inputs))
        for answer, other in zip(answers.values(), numpy_answers, strict=True):
            np.testing.assert_allclose(answer, other, rtol=1e-5, atol=1e-5)


def test_the_tflite_reference_is_litert(okay_nabu_tflite: Path, dense_tflite: Path) -> None:
    for path in (okay_nabu_tflite, dense_tflite):
        model = import_model(path)
        inputs = fill(model.signature, "random", 3)
        reference = reference_for(Source.of(model))
        assert reference.name.startswith("ai-edge-litert ")
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], inputs[detail["name"]])
        interpreter.invoke()
        answers = reference.run(inputs)
        for spec, detail in zip(
            model.signature.outputs, interpreter.get_output_details(), strict=True
        ):
            np.testing.assert_array_equal(
                answers[spec.name], interpreter.get_tensor(detail["index"])
            )


def test_a_dense_layer_by_hand(dense_tflite: Path) -> None:
    """The weights are those of `made_tflite.write_dense`."""
    random = np.random.default_rng(5)
    weights = random.standard_normal((4, 6), np.float32)
    bias = random.standard_normal(4, np.float32)
    x = f32(1, -2, 3, 0, 0.5, 2).reshape(1, 6)
    answer = reference_for(Source.of(import_model(dense_tflite))).run({"x": x})["y"]
    np.testing.assert_allclose(answer, np.tanh(np.maximum(x @ weights.T + bias, 0)), atol=1e-6)


def test_a_bound_input_reaches_the_reference(stateful_onnx: Path) -> None:
    options = ImportOptions(bindings={"sum": [[1.0, 2.0, 3.0, 4.0]]})  # type: ignore[dict-item]
    model = import_model(stateful_onnx, options)
    answers = reference_for(Source.of(model)).run({"chunk": np.ones((1, 4), np.float32)})
    np.testing.assert_array_equal(answers["total"], [[2, 3, 4, 5]])


def test_a_stream_carries_its_state(stateful_onnx: Path) -> None:
    model = import_model(stateful_onnx, ImportOptions(states={"sum": "total"}))
    chunks = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    reference = reference_for(Source.of(model))
    answers = run_stream(reference, model.signature, {"chunk": chunks})
    assert list(answers) == ["doubled"]
    np.testing.assert_array_equal(answers["doubled"], 2 * np.cumsum(chunks, axis=0))


def test_a_stream_of_single_numbers(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Add", ["x", "s"], ["t"])
    path = write(tmp_path / "m.onnx", [node], [value("x", []), value("s", [])], [value("t", [])])
    model = import_model(path, ImportOptions(states={"s": "t"}))
    seen = []

    class Recorder:
        name = "recorder"

        def run(self, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
            model.signature.check_inputs(inputs)
            seen.append(float(inputs["s"]))
            return {"t": np.asarray(inputs["x"] + inputs["s"])}

    run_stream(Recorder(), model.signature, {"x": f32(1, 2, 3)})  # type: ignore[arg-type]
    assert seen == [0, 1, 3]


def test_inputs_that_the_runtime_refuses_are_told(
    integers_onnx: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = reference_for(Source.of(import_model(integers_onnx)))
    with pytest.raises(InputError, match=r"cannot run it on these inputs.*out of data bounds"):
        reference.run({"index": np.array([1, 100]), "offset": np.zeros(3, np.int32)})
    assert capfd.readouterr().err == ""


def test_a_model_that_the_runtime_refuses_is_told(tiny_onnx: Path, tmp_path: Path) -> None:
    model = import_model(tiny_onnx)
    broken = tmp_path / "tiny.onnx"
    broken.write_bytes(tiny_onnx.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"onnxruntime refuses it: .*export it again"):
        reference_for(Source(broken, model.options, model.signature))


ALONE = """
import sys
from pathlib import Path
import numpy as np
from edgetvm.base.steps import listening
from edgetvm.models import ImportOptions, import_model
from edgetvm.models.reference import Source, reference_for
path, bound = Path(sys.argv[1]), len(sys.argv) > 2
model = import_model(path, ImportOptions(bindings={"s": 3} if bound else {}))
with listening(lambda event: print("warning:", event.detail)):
    reference = reference_for(Source.of(model))
    print(reference.name)
    (spec,) = model.signature.inputs
    x = np.arange(np.prod(spec.shape), dtype=spec.dtype).reshape(spec.shape) / 100
    (answer,) = reference.run({spec.name: x.astype(spec.dtype)}).values()
    print(answer.astype(np.float64).ravel().tolist())
"""


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This environment's packages without the reference runtimes."""
    folder = tmp_path_factory.mktemp("site")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("onnxruntime", "ai_edge_litert")) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    (folder / "edgetvm").unlink(missing_ok=True)
    (folder / "edgetvm").symlink_to(Path(edgetvm.__file__).parent)
    return folder


def answers_alone(bare_site: Path, *arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", ALONE, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(bare_site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_onnxruntime_the_onnx_package_answers(bare_site: Path, tiny_onnx: Path) -> None:
    warning, name, numbers = answers_alone(bare_site, tiny_onnx)
    assert warning.startswith("warning: onnxruntime is not installed")
    assert name == f"onnx.reference {onnx.__version__}"
    x = (np.arange(192, dtype=np.float32) / 100).reshape(1, 3, 8, 8)
    (expected,) = onnxruntime.InferenceSession(str(tiny_onnx)).run(None, {"image": x})
    np.testing.assert_allclose(eval(numbers), expected.ravel(), rtol=1e-5)  # noqa: S307


def test_without_onnxruntime_bound_inputs_are_kept(bare_site: Path, tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [onnx.helper.make_node("Mul", ["x", "s"], ["y"])],
        [value("x", [4]), value("s", [1])],
        [value("y", [4])],
    )
    numbers = answers_alone(bare_site, path, "bound")[-1]
    np.testing.assert_allclose(eval(numbers), [0, 0.03, 0.06, 0.09], rtol=1e-6)  # noqa: S307


def test_without_litert_the_import_itself_answers(bare_site: Path, dense_tflite: Path) -> None:
    warning, name, numbers = answers_alone(bare_site, dense_tflite)
    assert warning.startswith("warning: ai-edge-litert is not installed")
    assert "importer unchecked" in name
    x = (np.arange(6, dtype=np.float32) / 100).reshape(1, 6)
    expected = reference_for(Source.of(import_model(dense_tflite))).run({"x": x})["y"]
    np.testing.assert_allclose(eval(numbers), expected.ravel(), atol=1e-6)  # noqa: S307
