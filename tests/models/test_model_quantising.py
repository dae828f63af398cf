"""Graphs quantised layer by layer, against numpy and against ONNX Runtime's own kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from made_models import value, write, write_layers, write_tiny
from onnx import helper, numpy_helper
from real_board import onnx_runtime

from edgetvm.base.errors import ModelError, NumericError
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import ImportOptions, import_model
from edgetvm.models.correctness import worst_error
from edgetvm.models.model import Quantisation
from edgetvm.models.quantising import (
    METHODS,
    GraphRunner,
    Layer,
    Method,
    layers_of,
    quantised,
    ranges,
    ready_for_quantising,
)
from edgetvm.models.reference import Source, reference_for
from edgetvm.models.rounding import rounding_noise
from edgetvm.package import check


def drawn(shape: tuple[int, ...], count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape, np.float32) for _ in range(count)]


def quantised_tiny(path: Path, seed: int) -> Path:
    """`write_tiny`, all of it quantised."""
    graph = ready_for_quantising(import_model(write_tiny(path, seed)))
    found = ranges(graph, [{"image": one} for one in drawn((1, 3, 8, 8), 8)], "minmax")
    onnx.save(quantised(graph, found, layers_of(graph)), path)
    return path


def test_products_are_the_layers_and_all_else_stays_in_float(tmp_path: Path) -> None:
    graph = ready_for_quantising(import_model(write_layers(tmp_path / "m.onnx")))
    layers = layers_of(graph)
    assert layers == tuple(Layer(name, "MatMul") for name in ("first", "wide", "last"))
    found = ranges(graph, [{"x": one} for one in drawn((1, 16), 8)], "minmax")
    nodes = quantised(graph, found, layers[1:]).graph.node
    made_by = {node.output[0]: node for node in nodes}
    for node in nodes:
        kinds = [made_by[name].op_type for name in node.input if name in made_by]
        if node.op_type == "MatMul":
            assert kinds == ([] if node.name == "first" else ["DequantizeLinear"] * 2)
        if node.op_type == "Relu":
            assert kinds == ["MatMul"]


def test_one_product_is_what_numpy_reckons(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).standard_normal((6, 3), np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    path = write(
        tmp_path / "m.onnx", nodes, [value("x", [1, 6])], [value("y", [1, 3])], {"w": weights}
    )
    graph = ready_for_quantising(import_model(path))
    inputs = drawn((1, 6), 16)
    found = ranges(graph, [{"x": one} for one in inputs], "minmax")
    made = quantised(graph, found, layers_of(graph))

    def rounded(array: np.ndarray, low: float, high: float) -> np.ndarray:
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32((high - low) / 255)
        zero = np.rint(-low / scale)
        return (np.clip(np.rint(array / scale) + zero, 0, 255) - zero) * scale

    scales = np.abs(weights).max(axis=0) / 127
    near = np.rint(weights / scales) * scales
    x_range = min(map(np.min, inputs)), max(map(np.max, inputs))
    onnx.save(made, path)
    for one in inputs:
        expected = rounded(one, *x_range) @ near
        for answer in (GraphRunner(made).run({"x": one}), onnx_runtime(path, {"x": one})):
            np.testing.assert_allclose(answer["y"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_methods_cut_what_they_say(method: Method, tmp_path: Path) -> None:
    """One value in 40,000 lies far out: only minmax takes it in."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    weights = np.eye(4, dtype=np.float32)
    path = write(
        tmp_path / "m.onnx", nodes, [value("x", [100, 4])], [value("y", [100, 4])], {"w": weights}
    )
    graph = ready_for_quantising(import_model(path))
    inputs = drawn((100, 4), 100)
    inputs[3][7, 2] = 40.0
    found = ranges(graph, [{"x": one} for one in inputs], method)
    high = float(np.max(found["x"].range_value[1]))
    assert high == 40.0 if method == "minmax" else 2.0 < high < 20.0


def test_shapes_and_constants_are_those_that_were_fixed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "product"),
        helper.make_node("Mul", ["p", "rate"], ["y"], "rated"),
    ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [value("x", ["n", 4]), value("rate", [1])],
        [value("y", ["n", 4])],
        {"w": np.eye(4, dtype=np.float32)},
    )
    model = import_model(path, ImportOptions(shapes={"x": (2, 4)}, bindings={"rate": 3}))
    graph = ready_for_quantising(model)
    assert [entry.name for entry in graph.graph.input] == ["x"]
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(GraphRunner(graph).run({"x": x})["y"], 3 * x)


def test_batch_normalisation_is_folded_and_old_opsets_are_raised(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = {name: random.uniform(0.5, 2, 4).astype(np.float32) for name in "abcd"}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["p"], "conv"),
        helper.make_node("BatchNormalization", ["p", *"abcd"], ["y"], "norm"),
    ]
    constants = {"w": random.standard_normal((4, 3, 3, 3), np.float32), **vectors}
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [value("x", [1, 3, 6, 6])],
        [value("y", [1, 4, 4, 4])],
        constants,
    )
    model = onnx.load(path)
    model.opset_import[0].version = 11
    onnx.save(model, path)
    (x,) = drawn((1, 3, 6, 6), 1)
    graph = ready_for_quantising(import_model(path))
    assert graph.opset_import[0].version >= 13
    assert [node.op_type for node in graph.graph.node] == ["Conv"]
    expected = onnx_runtime(path, {"x": x})["y"]
    np.testing.assert_allclose(
        GraphRunner(graph).run({"x": x})["y"], expected, rtol=1e-4, atol=1e-4
    )


def test_what_cannot_be_quantised_is_refused(tmp_path: Path, dense_tflite: Path) -> None:
    with pytest.raises(ModelError, match=r"only ONNX files.*where it is exported"):
        ready_for_quantising(import_model(dense_tflite))
    again = import_model(quantised_tiny(tmp_path / "q.onnx", 0))
    with pytest.raises(ModelError, match=r"quantised already.*use it as it is"):
        ready_for_quantising(again)


def test_the_gate_lets_rounding_pass_and_nothing_else(tmp_path: Path) -> None:
    one, other = (import_model(quantised_tiny(tmp_path / f"{s}.onnx", s), name="q") for s in (0, 1))
    profile = load_profile("local")
    correctness = check(compile_model(one, profile), one).correctness
    assert correctness.passed
    assert correctness.rms_relative_error is not None
    assert correctness.rms_relative_error <= max(correctness.max_relative_error, 1e-7)
    with pytest.raises(NumericError, match="differs from onnxruntime"):
        check(compile_model(other, profile), one)


def test_an_output_made_from_integers_says_so(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = {"scale": np.array(0.25, np.float32), "zero": np.array(7, np.uint8)}
    path = write(tmp_path / "m.onnx", nodes, [value("x", [1, 4])], [value("y", [1, 4])], constants)
    (output,) = import_model(path).signature.outputs
    assert output.quantisation == Quantisation(0.25, 7)


def noise_of(path: Path, x: list[list[float]]) -> float:
    reference = reference_for(Source.of(import_model(path)))
    inputs = {"x": np.array(x, np.float32)}
    return rounding_noise(
        lambda runner, inputs: runner.run(inputs), reference, inputs, reference.run(inputs), {}
    )


def test_noise_is_how_far_steps_are_undecided(tmp_path: Path) -> None:
    """Also of steps that come after one which takes inputs beside each other for the same."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "quarter", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "quarter", "zero"], ["d"]),
        helper.make_node("QuantizeLinear", ["d", "half", "zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "half", "zero"], ["e"]),
        helper.make_node("Neg", ["e"], ["y"]),
    ]
    constants = {
        "quarter": np.array(0.25, np.float32),
        "half": np.array(0.5, np.float32),
        "zero": np.array(0, np.uint8),
    }
    path = write(tmp_path / "m.onnx", nodes, [value("x", [1, 2])], [value("y", [1, 2])], constants)
    assert noise_of(path, [[1.0, 8.0]]) == 0
    jump = worst_error({"y": np.array([[1.0, 8.0]])}, {"y": np.array([[1.5, 8.0]])})
    assert noise_of(path, [[1.25, 8.0]]) == pytest.approx(2 * jump.max_relative_error)


def test_what_does_not_round_has_no_noise(tmp_path: Path) -> None:
    reference = reference_for(Source.of(import_model(write_tiny(tmp_path / "f.onnx", 0))))
    assert not reference.shaken


def test_biases_of_a_file_stay_what_they_are(tmp_path: Path) -> None:
    """int32 biases stand for the floats of the source, a step at most away."""
    path = quantised_tiny(tmp_path / "q.onnx", 0)
    source = onnx.load(write_tiny(tmp_path / "f.onnx", 0))
    floats = {one.name: numpy_helper.to_array(one) for one in source.graph.initializer}
    constants = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    scale = constants["bias_quantized_scale"]
    np.testing.assert_allclose(
        constants["bias_quantized"] * scale, floats["bias"], atol=float(scale.max())
    )
