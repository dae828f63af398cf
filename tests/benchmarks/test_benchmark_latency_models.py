"""What the latency benchmark makes of models before it runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from made_models import value, write
from onnx import helper, numpy_helper

from benchmarks.latency.graphs import with_weights
from benchmarks.latency.inputs import made_up
from benchmarks.latency.making import lstm_forecaster
from benchmarks.latency.suite import SUITE, Quantised, chosen
from edgetvm.measure.peers import graphs
from edgetvm.measure.peers.case import Unavailable


def run(model: onnx.ModelProto, *arrays: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [entry.name for entry in session.get_inputs()]
    found: list[np.ndarray] = session.run(None, dict(zip(names, arrays, strict=True)))
    return found


def test_names_globs_and_files_choose_models(tiny_onnx: Path) -> None:
    found = chosen(["ppocr-c*", "resnet50", "ppocr-cls", str(tiny_onnx)])
    assert [one.name for one in found] == ["ppocr-cls", "ppocr-cls-int8", "resnet50", "tiny"]
    assert chosen([]) == list(SUITE)
    for wrong in ("no-such-model", "missing.onnx"):
        with pytest.raises(Unavailable, match=wrong):
            chosen([wrong])


def test_the_table_names_each_model_once_and_quantises_what_it_has() -> None:
    names = [entry.name for entry in SUITE]
    assert len(set(names)) == len(names)
    assert {entry.source.of for entry in SUITE if isinstance(entry.source, Quantised)} <= set(names)


def test_open_shapes_and_constant_inputs_are_fixed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Mul", ["x", "rate"], ["y"])],
        [value("x", ["n", 3]), value("rate", [1])],
        [value("y", ["n", 3])],
    )
    model = graphs.fixed(onnx.load(path), {"x": (2, 3)}, {"rate": 5})
    assert [entry.name for entry in model.graph.input] == ["x"]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(run(model, x)[0], 5 * x)
    with pytest.raises(Unavailable, match="give --shape x=SIZES"):
        graphs.fixed(onnx.load(path), {}, {"rate": 5})


def test_a_light_model_gets_weights_that_keep_the_size_of_values(tmp_path: Path) -> None:
    """As in onnx's light models: weights are made by ConstantOfShape, and are graph inputs."""
    shapes = {"w": [32, 16, 3, 3], "scale": [32], "shift": [32], "mean": [32], "var": [32]}
    sizes = {f"{name}__SHAPE": np.array(shape) for name, shape in shapes.items()}
    path = write(
        tmp_path / "light.onnx",
        [
            *(helper.make_node("ConstantOfShape", [f"{n}__SHAPE"], [n]) for n in shapes),
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("BatchNormalization", ["c", *list(shapes)[1:]], ["n"]),
            helper.make_node("Relu", ["n"], ["r"]),
            helper.make_node("Softmax", ["r"], ["y"]),
        ],
        [value("x", [1, 16, 9, 9]), value("w__SHAPE", [4], "INT64")],
        [value("r", [1, 32, 7, 7]), value("y", [1, 32, 7, 7])],
        sizes,
    )
    model = with_weights(onnx.load(path))
    onnx.checker.check_model(model)
    assert [entry.name for entry in model.graph.input] == ["x"]
    assert {node.op_type for node in model.graph.node} >= {"Conv", "Softmax"}
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    assert {name: list(found[name].shape) for name in shapes} == shapes
    assert np.std(found["w"]) == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    assert found["var"].min() > 0.5
    x = np.random.default_rng(0).standard_normal((1, 16, 9, 9)).astype(np.float32)
    assert 0.1 < run(model, x)[0].std() < 2


def test_inputs_are_the_same_each_time_and_fit_their_kind() -> None:
    picture = made_up("x", (1, 3, 48, 192), np.dtype(np.float32))
    np.testing.assert_array_equal(picture, made_up("x", (1, 3, 48, 192), np.dtype(np.float32)))
    # Dark words on a bright ground.
    assert 0 <= picture.min() < 0.3
    assert 0.8 < picture.max() <= 1
    whole = made_up("x", (1, 96, 96, 3), np.dtype(np.int8))
    assert (whole.dtype, whole.shape) == (np.int8, (1, 96, 96, 3))
    assert (whole.min() < -50) and (whole.max() > 80)
    assert made_up("attention_mask", (1, 8), np.dtype(np.int64)).tolist() == [[1] * 8]
    assert made_up("input_ids", (1, 99), np.dtype(np.int64)).max() > 1


def test_the_forecaster_is_two_lstm_layers_and_a_dense_one() -> None:
    model = lstm_forecaster(Path())
    constants = [numpy_helper.to_array(one) for one in model.graph.initializer]
    layers, (kernel, bias) = (constants[0:3], constants[4:7]), constants[-2:]
    window = np.random.default_rng(1).random((1, 60, 5)).astype(np.float32)
    x = window[0]
    for w, r, b in layers:
        x = lstm(x, w[0], r[0], b[0, :256] + b[0, 256:])
    np.testing.assert_allclose(run(model, window)[0], x[-1:] @ kernel.T + bias, atol=1e-5)


def lstm(x: np.ndarray, w: np.ndarray, r: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ONNX's definition, gates in the order input, output, forget, cell."""
    size = r.shape[1]
    h, c = np.zeros(size), np.zeros(size)
    rows = []
    for step in x:
        i, o, f, g = np.split(w @ step + r @ h + b, 4)
        i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        rows.append(h)
    return np.array(rows)
