"""LSTM, GRU and RNN agree with ONNX Runtime in all their variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_agreement import agree, by_evaluator, compiled, make

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, FEATURES, HIDDEN = 4, 2, 3, 5


def recurrent(
    path: Path,
    operator: str,
    *,
    directions: int = 1,
    given: tuple[str, ...] = ("B",),
    lengths: list[int] | None = None,
    bound_lengths: bool = True,
    steps: int = STEPS,
    hidden: int = HIDDEN,
    dtype: str = "float32",
    **attributes: Any,
) -> tuple[Path, dict[str, np.ndarray]]:
    """A model of one recurrent node with random weights, and an input for it."""
    random = np.random.default_rng(1)
    gates = GATES[operator]

    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.5).astype(dtype)

    batch_first = attributes.get("layout", 0) == 1
    state = (BATCH, directions, hidden) if batch_first else (directions, BATCH, hidden)
    data = (BATCH, steps, FEATURES) if batch_first else (steps, BATCH, FEATURES)
    constants = {
        "W": weights(directions, gates * hidden, FEATURES),
        "R": weights(directions, gates * hidden, hidden),
        "B": weights(directions, 2 * gates * hidden),
        "P": weights(directions, 3 * hidden),
    }
    inputs = {"X": weights(*data), "h": weights(*state), "c": weights(*state)}
    if lengths is not None:
        (constants if bound_lengths else inputs)["lengths"] = np.array(lengths, np.int32)
    names = ["X", "W", "R"]
    optional = ["B", "lengths", "h", "c", "P"] if operator == "LSTM" else ["B", "lengths", "h"]
    names += [
        name if name in given or (name == "lengths" and lengths is not None) else ""
        for name in optional
    ]
    outputs = ["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(operator, names, outputs, "layer", hidden_size=hidden, **attributes)
    used = {name: array for name, array in constants.items() if name in names}
    fed = {name: array for name, array in inputs.items() if name in names}
    return make(path, [node], fed, outputs, used), fed


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize(
    ("directions", "direction"), [(1, "forward"), (1, "reverse"), (2, "bidirectional")]
)
def test_directions_with_initial_states(
    tmp_path: Path, operator: str, directions: int, direction: str
) -> None:
    path, inputs = recurrent(
        tmp_path / "m.onnx",
        operator,
        directions=directions,
        direction=direction,
        given=("B", "h", "c"),
    )
    agree(path, inputs)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("bound", [True, False])
def test_lengths_that_are_not_full(tmp_path: Path, operator: str, bound: bool) -> None:
    path, inputs = recurrent(
        tmp_path / "m.onnx",
        operator,
        directions=2,
        direction="bidirectional",
        lengths=[4, 2],
        bound_lengths=bound,
        given=("B", "h", "c"),
    )
    agree(path, inputs)


@pytest.mark.parametrize("operator", GATES)
def test_batch_first(tmp_path: Path, operator: str) -> None:
    # ONNX Runtime has no batch-first layout, and the evaluator only forward ones of one direction.
    path, inputs = recurrent(tmp_path / "m.onnx", operator, layout=1)
    agree(path, inputs, by_evaluator)


@pytest.mark.parametrize(("name", "index"), [("B", 3), ("lengths", 4), ("h", 5), ("P", 7)])
def test_operands_of_other_sizes_are_refused(tmp_path: Path, name: str, index: int) -> None:
    path, _ = recurrent(tmp_path / "m.onnx", "LSTM", given=("B", "h", "P"), lengths=[4, 3])
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if weight.name == name:
            short = numpy_helper.to_array(weight)[..., :-1]
            weight.CopyFrom(numpy_helper.from_array(short, name))
    for entry in model.graph.input:
        if entry.name == name:
            entry.type.tensor_type.shape.dim[-1].dim_value -= 1
    onnx.save(model, path)
    with pytest.raises(ModelUnreadableError, match=f"'layer': input {index} has shape"):
        import_model(path)


def test_peepholes_clip_and_input_forget(tmp_path: Path) -> None:
    path, inputs = recurrent(
        tmp_path / "m.onnx", "LSTM", given=("B", "h", "c", "P"), clip=0.7, input_forget=1
    )
    agree(path, inputs)


@pytest.mark.parametrize("bias", [("B",), ()])
def test_reset_after_the_product(tmp_path: Path, bias: tuple[str, ...]) -> None:
    path, inputs = recurrent(
        tmp_path / "m.onnx", "GRU", linear_before_reset=1, clip=0.9, given=(*bias, "h")
    )
    agree(path, inputs)


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("Relu", None, None),
        ("Tanh", None, None),
        ("Sigmoid", None, None),
        ("Affine", 0.7, 0.2),
        ("LeakyRelu", 0.3, None),
        ("ThresholdedRelu", 0.4, None),
        ("ScaledTanh", 0.8, 0.6),
        ("HardSigmoid", 0.3, 0.4),
        ("Elu", 0.6, None),
        ("Softsign", None, None),
        ("Softplus", None, None),
    ],
)
def test_activations(tmp_path: Path, name: str, alpha: float | None, beta: float | None) -> None:
    extra: dict[str, Any] = {}
    if alpha is not None:
        extra["activation_alpha"] = [alpha]
    if beta is not None:
        extra["activation_beta"] = [beta]
    path, inputs = recurrent(tmp_path / "m.onnx", "RNN", activations=[name], **extra)
    agree(path, inputs)


def test_activations_of_each_direction(tmp_path: Path) -> None:
    path, inputs = recurrent(
        tmp_path / "m.onnx",
        "GRU",
        directions=2,
        direction="bidirectional",
        activations=["HardSigmoid", "Tanh", "Sigmoid", "LeakyRelu"],
        activation_alpha=[0.25, 0.1],
        activation_beta=[0.4],
    )
    agree(path, inputs, by_numpy_gru)


def by_numpy_gru(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The layer of the test above: runtimes differ in how they share out alpha and beta."""
    import onnx
    from onnx import numpy_helper

    weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    data = inputs["X"]

    def run(index: int, order: Any, f: Any, g: Any) -> np.ndarray:
        w, r = weights["W"][index], weights["R"][index]
        b = weights["B"][index]
        bias = b[: 3 * HIDDEN] + b[3 * HIDDEN :]
        h = np.zeros((BATCH, HIDDEN), np.float32)
        rows: dict[int, np.ndarray] = {}
        for step in order:
            x = data[step] @ w.T + bias
            z, reset, new = np.split(x, 3, 1)
            rz, rr, rn = np.split(r, 3, 0)
            z, reset = f(z + h @ rz.T), f(reset + h @ rr.T)
            new = g(new + (reset * h) @ rn.T)
            h = (1 - z) * new + z * h
            rows[step] = h
        return np.stack([rows[step] for step in range(STEPS)])

    first = run(0, range(STEPS), lambda v: np.clip(0.25 * v + 0.4, 0, 1), np.tanh)
    second = run(
        1,
        reversed(range(STEPS)),
        lambda v: 1 / (1 + np.exp(-v)),
        lambda v: np.where(v > 0, v, 0.1 * v),
    )
    both = np.stack([first, second], 1)
    return [both, np.stack([first[-1], second[0]])]


def test_one_product_for_the_inputs_of_all_steps_and_one_kernel(tmp_path: Path) -> None:
    path, _ = recurrent(tmp_path / "m.onnx", "LSTM", steps=6, given=("B", "h", "c"))
    text = str(import_model(path).module)
    assert text.count("R.matmul") == 1
    assert text.count("R.call_tir") == 1


def test_a_long_sequence_is_a_loop(tmp_path: Path) -> None:
    path, inputs = recurrent(tmp_path / "m.onnx", "GRU", steps=3000)
    agree(path, inputs)


@pytest.mark.parametrize("operator", GATES)
def test_sizes_that_fill_no_register(tmp_path: Path, operator: str) -> None:
    path, inputs = recurrent(tmp_path / "m.onnx", operator, hidden=37)
    agree(path, inputs)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats(tmp_path: Path, dtype: str) -> None:
    path, inputs = recurrent(tmp_path / "m.onnx", "LSTM", dtype=dtype, given=("B", "h", "c"))
    agree(path, inputs, by_evaluator, tolerance=2e-3 if dtype == "float16" else 1e-12)


@pytest.mark.parametrize("name", ["Tanh", "Sigmoid", "Elu", "Softplus"])
def test_activations_far_out_and_near_zero(tmp_path: Path, name: str) -> None:
    x = np.array([-1e9, -100, -88, -20, -9, -1e-3, -1e-7, 0, 1e-7, 1e-3, 9, 20, 88, 1e9])
    fed = {"X": x.astype(np.float32).reshape(-1, 1, 1)}
    constants = {"W": np.ones((1, 1, 1), np.float32), "R": np.zeros((1, 1, 1), np.float32)}
    node = helper.make_node("RNN", ["X", "W", "R"], ["Y"], hidden_size=1, activations=[name])
    path = make(tmp_path / "m.onnx", [node], fed, ["Y"], constants)
    exact = {
        "Tanh": np.tanh,
        "Sigmoid": lambda v: 1 / (1 + np.exp(np.clip(-v, None, 700))),
        "Elu": lambda v: np.where(v > 0, v, np.expm1(np.minimum(v, 0))),
        "Softplus": lambda v: np.logaddexp(0, v),
    }[name](x)
    _, found = compiled(path, fed)
    np.testing.assert_allclose(found["Y"].ravel(), exact, rtol=1e-6, atol=1.2e-7)
