"""ONNX Runtime's own operators (com.microsoft), and models that its quantiser writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_agreement import Arrays, agree, by_onnxruntime, compiled, make

from edgetvm.models import import_model

RANDOM = np.random.default_rng(11)


def floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def integers(dtype: str, *shape: int) -> np.ndarray:
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def scalar(value: float, dtype: str = "float32") -> np.ndarray:
    return np.array(value, dtype)


def own(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(operator, inputs, outputs, domain="com.microsoft", **attributes)


def within_a_quantum(path: Path, inputs: Arrays) -> None:
    """ONNX Runtime rounds in tables and with other orders of multiplication."""
    _, found = compiled(path, inputs)
    for array, expected in zip(found.values(), by_onnxruntime(path, inputs), strict=True):
        assert array.dtype == expected.dtype
        difference = np.abs(array.astype(np.int64) - expected.astype(np.int64))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.02


SCALES = {
    "s": scalar(0.05),
    "z": scalar(3, "uint8"),
    "t": scalar(0.08),
    "w": scalar(120, "uint8"),
    "o": scalar(0.11),
    "p": scalar(100, "uint8"),
}
TWO = ["x", "s", "z", "b", "t", "w", "o", "p"]
ONE = ["x", "s", "z", "o", "p"]
IMAGE = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
QUANTISED = [
    ("QLinearAdd", TWO, {}),
    ("QLinearMul", TWO, {}),
    ("QLinearSigmoid", ["x", "s", "z", "unit", "zero"], {}),
    ("QLinearLeakyRelu", ONE, {"alpha": 0.2}),
    ("QLinearGlobalAveragePool", ONE, {"channels_last": 0}),
    ("QLinearGlobalAveragePool", ONE, {"channels_last": 1}),
    ("QLinearAveragePool", ONE, IMAGE),
    ("QLinearAveragePool", ONE, {**IMAGE, "count_include_pad": 1}),
    ("QLinearSoftmax", ["x", "s", "z", "unit", "zero"], {"axis": -1, "opset": 13}),
    ("QLinearSoftmax", ["x", "s", "z", "unit", "zero"], {"axis": 1, "opset": 12}),
    ("QLinearConcat", ["o", "p", "x", "s", "z", "b", "t", "w"], {"axis": 1}),
    ("QLinearWhere", ["c", *TWO], {}),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes"), QUANTISED)
def test_quantised_operators(
    tmp_path: Path, operator: str, inputs: list[str], attributes: dict[str, Any]
) -> None:
    fed: Arrays = {name: integers("uint8", 2, 3, 6, 8) for name in ("x", "b") if name in inputs}
    if "c" in inputs:
        fed["c"] = RANDOM.random((2, 3, 6, 8)) < 0.5
    constants = SCALES | {"unit": scalar(1 / 256), "zero": scalar(0, "uint8")}
    path = make(
        tmp_path / "m.onnx",
        [own(operator, inputs, ["y"], **attributes)],
        fed,
        ["y"],
        {name: array for name, array in constants.items() if name in inputs},
        types={"y": "uint8"},
    )
    within_a_quantum(path, fed)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_products_of_integers_as_floats(tmp_path: Path, bias: bool, dtype: str) -> None:
    fed = {"x": integers("uint8", 2, 4, 16), "f": floats(2, 4, 16)}
    constants = {
        "b": integers(dtype, 16, 5),
        "xs": scalar(0.02),
        "bs": np.linspace(0.01, 0.05, 5, dtype=np.float32),
        "xz": scalar(100, "uint8"),
        "bz": integers(dtype, 5),
        "bias": floats(5),
    }
    extra = ["bias"] if bias else []
    nodes = [
        own("MatMulIntegerToFloat", ["x", "b", "xs", "bs", "xz", "bz", *extra], ["y"]),
        own("DynamicQuantizeMatMul", ["f", "b", "bs", "bz", *extra], ["d"]),
    ]
    if not bias:
        del constants["bias"]
    path = make(tmp_path / "m.onnx", nodes, fed, ["y", "d"], constants)
    agree(path, fed, tolerance=1e-4)


@pytest.mark.parametrize("quantised", [True, False])
def test_gemm_of_integers(tmp_path: Path, quantised: bool) -> None:
    fed = {"x": integers("uint8", 4, 16)}
    constants = {
        "xs": scalar(0.02),
        "xz": scalar(100, "uint8"),
        "b": integers("int8", 5, 16),
        "bs": np.linspace(0.01, 0.05, 5, dtype=np.float32),
        "bz": np.zeros(5, np.int8),
        "c": RANDOM.integers(-5000, 5000, 5, dtype=np.int32),
    }
    names = ["x", *constants]
    if quantised:
        constants |= {"ys": scalar(0.4), "yz": scalar(120, "uint8")}
        names += ["ys", "yz"]
    node = own("QGemm", names, ["y"], transB=1, alpha=1.0)
    path = make(
        tmp_path / "m.onnx",
        [node],
        fed,
        ["y"],
        constants,
        types={"y": "uint8" if quantised else "float32"},
    )
    if quantised:
        within_a_quantum(path, fed)
    else:
        agree(path, fed, tolerance=1e-4)


X = floats(2, 6, 8)
ROWS = {"g": floats(8), "b": floats(8), "k": floats(8)}
FUSED = [
    (own("Gelu", ["x"], ["y"]), {}),
    (own("FastGelu", ["x"], ["y"]), {}),
    (own("FastGelu", ["x", "b"], ["y"]), {}),
    (own("BiasGelu", ["x", "b"], ["y"]), {}),
    (own("QuickGelu", ["x"], ["y"], alpha=1.5), {}),
    (own("FusedMatMul", ["x", "r"], ["y"], alpha=0.5, transB=1), {"r": floats(5, 8)}),
    (own("FusedMatMul", ["x", "r"], ["y"], transA=1), {"r": floats(2, 6, 5)}),
    (own("FusedMatMul", ["x", "r"], ["y"], transBatchA=1), {"r": floats(6, 8, 3)}),
    (own("SkipLayerNormalization", ["x", "s", "g", "b"], ["y"], epsilon=1e-5), {"s": X[::-1]}),
    (own("SkipLayerNormalization", ["x", "s", "g", "", "k"], ["y", "", "", "t"]), {"s": X[:1]}),
    (own("SkipSimplifiedLayerNormalization", ["x", "s", "g"], ["y", "", "", "t"]), {"s": X}),
    (helper.make_node("SimplifiedLayerNormalization", ["x", "g"], ["y"], epsilon=1e-4), {}),
    (helper.make_node("LayerNormalization", ["x", "g", "b"], ["y"]), {}),
]


@pytest.mark.parametrize(
    ("node", "extra"), FUSED, ids=[f"{n.op_type}{i}" for i, (n, _) in enumerate(FUSED)]
)
@pytest.mark.parametrize("opset", [12, 17])
def test_fused_operators(tmp_path: Path, node: Any, extra: Arrays, opset: int) -> None:
    constants = {name: array for name, array in (ROWS | extra).items() if name in node.input}
    outputs = [name for name in node.output if name]
    agree(make(tmp_path / "m.onnx", [node], {"x": X}, outputs, constants, opset), {"x": X})


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", []), ("LeakyRelu", [0.3]), ("Clip", [-0.5, 0.5]), ("HardSigmoid", [0.3, 0.4])],
)
def test_convolution_with_its_activation(
    tmp_path: Path, activation: str, parameters: list[float]
) -> None:
    fed = {"x": floats(1, 3, 7, 7)}
    constants = {"w": floats(4, 3, 3, 3), "b": floats(4), "z": floats(1, 4, 7, 7)}
    given = {"activation_params": parameters} if parameters else {}
    node = own(
        "FusedConv", ["x", "w", "b", "z"], ["y"], activation=activation, pads=[1] * 4, **given
    )
    agree(make(tmp_path / "m.onnx", [node], fed, ["y"], constants), fed, tolerance=1e-4)


def test_gemm_with_its_activation(tmp_path: Path) -> None:
    fed = {"x": floats(3, 8)}
    constants = {"w": floats(5, 8), "b": floats(5)}
    node = own(
        "FusedGemm",
        ["x", "w", "b"],
        ["y"],
        transB=1,
        activation="LeakyRelu",
        activation_alpha=0.2,
    )
    agree(make(tmp_path / "m.onnx", [node], fed, ["y"], constants), fed)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [True, False])
def test_weights_of_few_bits_in_blocks(tmp_path: Path, bits: int, zeros: bool) -> None:
    rows, columns, size = 48, 6, 32
    blocks = -(-rows // size)
    constants: Arrays = {
        "w": integers("uint8", columns, blocks, size * bits // 8),
        "s": floats(columns, blocks, scale=0.1),
    }
    if zeros:
        constants["z"] = integers("uint8", columns, -(-blocks * bits // 8))
    node = own(
        "MatMulNBits",
        ["x", *constants],
        ["y"],
        K=rows,
        N=columns,
        bits=bits,
        block_size=size,
    )
    fed = {"x": floats(3, rows)}
    agree(make(tmp_path / "m.onnx", [node], fed, ["y"], constants), fed, tolerance=1e-3)


@pytest.mark.parametrize("mask", [None, "lengths", "rows", "whole"])
@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("past", [False, True])
def test_attention(tmp_path: Path, mask: str | None, unidirectional: int, past: bool) -> None:
    if past and mask == "lengths":
        return  # ONNX Runtime does not take both
    before = 2 if past else 0
    fed: Arrays = {"x": floats(2, 5, 8)}
    masks: Arrays = {
        "lengths": np.array([5, 3], np.int32),
        "rows": np.array([[1] * (5 + before), [0, 1, 1, 0, 1] + [1] * before], np.int32),
        "whole": (RANDOM.random((2, 5, 5 + before)) < 0.7).astype(np.int32),
    }
    if mask:
        fed["m"] = masks[mask]
    if past:
        fed["past"] = floats(2, 2, 2, before, 4)
    names = ["x", "w", "b", "m" if mask else "", "past" if past else ""]
    node = own(
        "Attention",
        names,
        ["y", "present"] if past else ["y"],
        num_heads=2,
        unidirectional=unidirectional,
    )
    constants = {"w": floats(8, 24), "b": floats(24)}
    path = make(tmp_path / "m.onnx", [node], fed, list(node.output), constants)
    agree(path, fed, tolerance=1e-4)


@pytest.mark.parametrize("form", ["self", "cross", "past"])
def test_attention_of_parts(tmp_path: Path, form: str) -> None:
    fed: Arrays = {"q": floats(2, 5, 8), "k": floats(2, 7, 8), "v": floats(2, 7, 8)}
    names = ["q", "k", "v", "bias", "", "extra"]
    outputs = ["y"]
    if form == "cross":
        fed |= {"k": floats(2, 2, 7, 4), "v": floats(2, 2, 7, 4)}
        names[3] = ""
    if form == "past":
        fed |= {"pk": floats(2, 2, 3, 4), "pv": floats(2, 2, 3, 4)}
        names += ["pk", "pv"]
        outputs += ["present_k", "present_v"]
    fed["extra"] = floats(2, 2, 5, 10 if form == "past" else 7)
    node = own("MultiHeadAttention", names, outputs, num_heads=2)
    constants = {"bias": floats(24)} if form != "cross" else {}
    agree(make(tmp_path / "m.onnx", [node], fed, outputs, constants), fed, tolerance=1e-4)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("flat", [True, False])
def test_rotary_embedding(tmp_path: Path, interleaved: int, flat: bool) -> None:
    fed = {
        "x": floats(2, 5, 16) if flat else floats(2, 2, 5, 8),
        "at": np.array([[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]) if flat else np.array([2]),
    }
    angles = np.outer(np.arange(10), np.geomspace(1, 0.01, 4)).astype(np.float32)
    constants = {"cos": np.cos(angles), "sin": np.sin(angles)}
    node = own("RotaryEmbedding", ["x", "at", "cos", "sin"], ["y"], interleaved=interleaved)
    agree(make(tmp_path / "m.onnx", [node], fed, ["y"], constants), fed)


def test_embeddings(tmp_path: Path) -> None:
    fed = {
        "ids": RANDOM.integers(0, 11, (2, 5), np.int32),
        "parts": RANDOM.integers(0, 2, (2, 5), np.int32),
        "mask": np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], np.int32),
    }
    constants = {
        "words": floats(11, 8),
        "places": floats(9, 8),
        "segments": floats(2, 8),
        "g": floats(8),
        "b": floats(8),
    }
    names = ["ids", "parts", "words", "places", "segments", "g", "b", "mask"]
    node = own("EmbedLayerNormalization", names, ["y", "length"], epsilon=1e-5)
    path = make(
        tmp_path / "m.onnx", [node], fed, ["y", "length"], constants, types={"length": "int32"}
    )
    agree(path, fed, tolerance=1e-4)


@pytest.mark.parametrize("form", ["QOperator", "QDQ"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_what_the_quantiser_writes(tmp_path: Path, form: str, per_channel: bool) -> None:
    from onnxruntime import quantization

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1] * 4),
        helper.make_node("LeakyRelu", ["c1"], ["r1"], alpha=0.1),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1] * 4, group=4),
        helper.make_node("Sigmoid", ["c2"], ["g"]),
        helper.make_node("Mul", ["c2", "g"], ["m"]),
        helper.make_node("Add", ["m", "r1"], ["a"]),
        helper.make_node("Concat", ["a", "r1"], ["k"], axis=1),
        helper.make_node("AveragePool", ["k"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["p"], ["q"]),
        helper.make_node("Flatten", ["q"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["y"]),
    ]
    constants = {
        "w1": floats(4, 3, 3, 3, scale=0.3),
        "b1": floats(4),
        "w2": floats(4, 1, 3, 3, scale=0.4),
        "w3": floats(5, 8),
        "b3": floats(5),
    }
    samples = [floats(1, 3, 8, 8) for _ in range(8)]
    source = make(tmp_path / "float.onnx", nodes, {"x": samples[0]}, ["y"], constants)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self.left, None)
            return None if sample is None else {"x": sample}

    path = tmp_path / "m.onnx"
    quantization.quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat[form],
        per_channel=per_channel,
    )
    model = import_model(path)
    assert any(name.startswith("Q") for name in model.operators)
    for sample in samples[:2]:
        _, found = compiled(path, {"x": sample})
        (expected,) = by_onnxruntime(path, {"x": sample})
        # Softmax quantises to steps of 1/256.
        np.testing.assert_allclose(found["y"], expected, atol=2.1 / 256)


@pytest.mark.parametrize("per_column", [False, True])
def test_quantised_attention(tmp_path: Path, per_column: bool) -> None:
    inputs = {"x": integers("uint8", 2, 6, 16), "mask": np.array([6, 4], np.int32)}
    constants = {
        "w": integers("int8", 16, 3 * 8),
        "b": floats(3 * 8),
        "s": scalar(0.02),
        "t": floats(3 * 8) ** 2 * 0.01 if per_column else scalar(0.01),
        "z": scalar(117, "uint8"),
        "v": np.zeros(3 * 8, np.int8) if per_column else scalar(3, "int8"),
    }
    names = ["x", "w", "b", "s", "t", "mask", "z", "v"]
    node = own("QAttention", names, ["y"], num_heads=2)
    agree(make(tmp_path / "m.onnx", [node], inputs, ["y"], constants), inputs)


@pytest.mark.parametrize(("weights", "per_channel"), [("QInt8", True), ("QUInt8", False)])
def test_an_lstm_as_onnx_runtime_quantises_it(
    tmp_path: Path, weights: str, per_channel: bool
) -> None:
    """The state is quantised at each step, as there: far nearer than a float LSTM would be."""
    from onnxruntime import quantization

    steps, batch, features, hidden = 7, 2, 12, 40
    constants = {
        "w": floats(2, 4 * hidden, features, scale=0.4),
        "r": floats(2, 4 * hidden, hidden, scale=0.4),
        "b": floats(2, 8 * hidden, scale=0.4),
    }
    inputs = {
        "x": floats(steps, batch, features),
        "h": floats(2, batch, hidden, scale=0.3),
        "c": floats(2, batch, hidden),
    }
    node = helper.make_node(
        "LSTM",
        ["x", "w", "r", "b", "", "h", "c"],
        ["y", "last", "cell"],
        "layer",
        direction="bidirectional",
        hidden_size=hidden,
    )
    source = make(tmp_path / "float.onnx", [node], inputs, ["y", "last", "cell"], constants)
    path = tmp_path / "m.onnx"
    kind = quantization.QuantType[weights]
    quantization.quantize_dynamic(source, path, weight_type=kind, per_channel=per_channel)
    model, found = compiled(path, inputs)
    assert model.operators == {"DynamicQuantizeLSTM": 1}
    exact = by_onnxruntime(source, inputs)
    for array, expected, float_one in zip(
        found.values(), by_onnxruntime(path, inputs), exact, strict=True
    ):
        rounded = np.abs(expected - float_one).max()
        assert np.abs(array - expected).max() < 0.02 * rounded
