"""Recurrent layers of TFLite files against LiteRT, over sequences and from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from litert import Built, by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, const, write_graphs

from edgetvm.models import import_model
from edgetvm.models.reference import Source, reference_for, run_stream

LSTM = "UnidirectionalSequenceLSTMOptions"


def write_lstm(
    path: Path, kind: str, cifg: bool = False, time_major: bool = False, steps: int = 6
) -> Path:
    """6 steps of 5 features into 4 units: `float32`, `hybrid` or `int8`."""
    random = np.random.default_rng(3)
    units, features = 4, 5
    shape = (steps, 2, features) if time_major else (2, steps, features)
    result = (*shape[:2], units)
    integers = kind == "int8"
    source = {"scale": 0.02, "zero": 5} if integers else {}
    hidden = {"scale": 1 / 128, "zero": 3} if integers else {}
    tensors = [T(shape, "int8" if integers else "float32", name="x", **source)]
    numbers = [0]

    def put(tensor: T | None) -> None:
        numbers.append(-1 if tensor is None else len(tensors))
        tensors.extend([tensor] if tensor is not None else [])

    gates = range(4)
    for depth in (features, units):
        for gate in gates:
            if kind == "float32":
                weight = const(random.standard_normal((units, depth)), "float32")
            else:
                data = random.integers(-127, 128, (units, depth))
                weight = const(data, "int8", scale=0.012 + 0.001 * gate, zero=0)
            put(None if cifg and gate == 0 else weight)
    for _ in range(3):
        put(None)
    for gate in gates:
        if integers:
            scale = 0.02 * (0.012 + 0.001 * gate)
            bias = const(random.integers(-900, 900, units), "int32", scale=scale, zero=0)
        else:
            bias = const(random.standard_normal(units), "float32")
        put(None if cifg and gate == 0 else bias)
    put(None)
    put(None)
    put(T((2, units), "int8" if integers else "float32", variable=True, name="h", **hidden))
    cell = {"scale": 2.0**-12, "zero": 0} if integers else {}
    put(T((2, units), "int16" if integers else "float32", variable=True, name="c", **cell))
    for _ in range(4):
        put(None)
    out = len(tensors)
    tensors.append(T(result, "int8" if integers else "float32", name="y", **hidden))
    intermediates = []
    if integers:
        intermediates = [out + 1 + at for at in range(5)]
        tensors += [T((0,), "int16", scale=2.0**-12, zero=0) for _ in gates]
        tensors.append(T((0,), "int8", **hidden))
    fields = {"fusedActivationFunction": 4, "cellClip": 6.0, "timeMajor": time_major}
    operator = Op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", numbers, [out], (LSTM, fields), intermediates, version=2
    )
    return write_graphs(path, Sub(tensors, [operator], [0], [out]))


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("cifg", [False, True])
@pytest.mark.parametrize(("kind", "allowed"), [("float32", 1e-6), ("hybrid", 1e-6), ("int8", 0)])
def test_lstm(tmp_path: Path, kind: str, allowed: float, cifg: bool, time_major: bool) -> None:
    path = write_lstm(tmp_path / "m.tflite", kind, cifg, time_major)
    random = np.random.default_rng(8)
    shape = (6, 2, 5) if time_major else (2, 6, 5)
    if kind == "int8":
        x: Any = random.integers(-128, 128, shape).astype(np.int8)
    else:
        x = random.standard_normal(shape).astype(np.float32)
    assert furthest(by_edgetvm(path, [x]), by_litert(path, [x])) <= allowed


def assert_runs_agree(path: Path, states: list[str], allowed: float, runs: int = 6) -> None:
    """LiteRT keeps its state tensors from run to run; ours go in and out."""
    model = import_model(path)
    signature = model.signature
    assert [state.input for state in signature.states] == states
    built, interpreter = Built(model), Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    carried, (source, *_) = signature.initial_states(), signature.inputs
    random = np.random.default_rng(4)
    chunks = random.standard_normal((runs, *source.shape)).astype(np.float32)
    if source.dtype == "int8":
        chunks = (chunks * 60).clip(-128, 127).astype(np.int8)
    expected = []
    for chunk in chunks:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], chunk)
        interpreter.invoke()
        expected.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        answer, *kept = built.run([chunk, *carried.values()])
        carried = dict(zip(carried, kept, strict=True))
        assert furthest([answer], expected[-1:]) <= allowed
    assert np.std([expected]) > 0
    rows = run_stream(reference_for(Source.of(model)), signature, {source.name: chunks})
    np.testing.assert_array_equal(rows[signature.outputs[0].name], np.stack(expected))


@pytest.mark.parametrize(("kind", "allowed"), [("float32", 1e-6), ("hybrid", 1e-6), ("int8", 0)])
def test_an_lstm_of_one_step_keeps_its_state(tmp_path: Path, kind: str, allowed: float) -> None:
    path = write_lstm(tmp_path / "m.tflite", kind, steps=1)
    assert_runs_agree(path, ["h", "c"], allowed)


@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("kind", ["float32", "hybrid"])
def test_plain_recurrent_layers(tmp_path: Path, kind: str, steps: int) -> None:
    random = np.random.default_rng(3)

    def weight(*shape: int) -> T:
        if kind == "float32":
            return const(random.standard_normal(shape), "float32")
        return const(random.integers(-127, 128, shape), "int8", scale=0.01)

    shape = (2, steps, 3) if steps else (2, 3)
    tensors = [
        T(shape, name="x"),
        weight(4, 3),
        weight(4, 4),
        const(random.standard_normal(4), "float32"),
        T((2, 4), variable=True, name="h"),
        T((*shape[:-1], 4), name="y"),
    ]
    name = "UNIDIRECTIONAL_SEQUENCE_RNN" if steps else "RNN"
    options = ("SequenceRNNOptions" if steps else "RNNOptions", {"fusedActivationFunction": 4})
    graph = Sub(tensors, [Op(name, [0, 1, 2, 3, 4], [5], options)], [0], [5])
    path = write_graphs(tmp_path / "m.tflite", graph)
    if steps < 2:
        assert_runs_agree(path, ["h"], 1e-6)
        return
    x = [random.standard_normal(shape).astype(np.float32)]
    assert furthest(by_edgetvm(path, x), by_litert(path, x)) < 1e-6


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize(("kind", "allowed"), [("float32", 1e-6), ("hybrid", 1e-6), ("int8", 0)])
def test_dense_layers_over_time(tmp_path: Path, kind: str, allowed: float, rank: int) -> None:
    random = np.random.default_rng(3)
    filters, features, memory = 8, 5, 4
    integers = kind == "int8"
    if kind == "float32":
        weights = [
            const(random.standard_normal(shape), "float32")
            for shape in ((filters, features), (filters, memory))
        ]
    else:
        by_time = "int16" if integers else "int8"
        weights = [
            const(random.integers(-127, 128, (filters, features)), "int8", scale=0.01),
            const(random.integers(-127, 128, (filters, memory)), by_time, scale=0.01),
        ]
    bias = random.standard_normal(filters // rank)
    quantised: dict[str, Any] = {"scale": 0.02, "zero": 5} if integers else {}
    state: dict[str, Any] = {"scale": 0.01, "zero": 0} if integers else {}
    result: dict[str, Any] = {"scale": 0.1, "zero": -9} if integers else {}
    tensors = [
        T((2, features), "int8" if integers else "float32", name="x", **quantised),
        *weights,
        const(bias * 1000, "int32", scale=1e-4) if integers else const(bias, "float32"),
        T((2, filters * memory), "int16" if integers else "float32", variable=True, **state),
        T((2, filters // rank), "int8" if integers else "float32", name="y", **result),
    ]
    options = ("SVDFOptions", {"rank": rank, "fusedActivationFunction": 1})
    operator = Op("SVDF", [0, 1, 2, 3, 4], [5], options, version=3)
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [operator], [0], [5]))
    assert_runs_agree(path, ["t4"], allowed)
