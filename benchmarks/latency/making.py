"""Models that no package has as ONNX: graphs as exporters write them, around published weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.weights import Weights, safetensors, torch_weights

_OPSET = 17
Array = NDArray[Any]


class Graph:
    """Nodes in order; each method gives the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Array) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str | Array, outputs: int = 1, **attributes: Any) -> str:
        from onnx import helper

        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        index = len(self.nodes)
        made = [f"{kind.lower()}{index}" + (f"_{n}" if n else "") for n in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, f"{kind}_{index}", **attributes))
        return made[0]

    def model(self, inputs: list[tuple[str, Any, list[int]]], outputs: dict[str, str]) -> Any:
        """The checked model; `outputs` gives the names by which what is computed is known."""
        from onnx import checker, helper, shape_inference

        for name, source in outputs.items():
            self.nodes.append(helper.make_node("Identity", [source], [name], f"to_{name}"))
        graph = helper.make_graph(
            self.nodes,
            "main",
            [helper.make_tensor_value_info(*entry) for entry in inputs],
            [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = 8
        model = shape_inference.infer_shapes(model)
        checker.check_model(model)
        return model


FLOAT, INT64 = 1, 7  # onnx.TensorProto's


def _convolved(
    graph: Graph,
    x: str,
    weights: Weights,
    convolution: str,
    norm: str,
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    epsilon: float = 1e-5,
    clipped: bool = True,
) -> str:
    """A convolution with its batch normalisation folded in, and ReLU6."""
    kernel = weights[f"{convolution}.weight"]
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + epsilon)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    before, after = padding or (kernel.shape[2] // 2,) * 2
    result = graph.node(
        "Conv",
        x,
        (kernel * scale[:, None, None, None]).astype(np.float32),
        bias.astype(np.float32),
        kernel_shape=list(kernel.shape[2:]),
        pads=[before, before, after, after],
        strides=[stride, stride],
        group=kernel.shape[0] if kernel.shape[1] == 1 and kernel.shape[0] > 1 else 1,
    )
    return (
        graph.node("Clip", result, np.array(0, np.float32), np.array(6, np.float32))
        if clipped
        else result
    )


def mobilenet_v2(file: Path) -> Any:
    """MobileNetV2 1.0 without its classifier: 224x224 to 1280 features."""
    weights = torch_weights(file)
    graph = Graph()
    x = _convolved(graph, "input", weights, "features.0.0", "features.0.1", 2)
    strides = {2: 2, 4: 2, 7: 2, 14: 2}
    for index in range(1, 18):
        before, at = x, f"features.{index}.conv"
        steps = sorted({int(name.split(".")[3]) for name in weights if name.startswith(f"{at}.")})
        convolutions = steps[::2]
        for position, step in enumerate(convolutions):
            depthwise = weights[f"{at}.{step}.weight"].shape[1] == 1
            last = position == len(convolutions) - 1
            stride = strides.get(index, 1) if depthwise else 1
            norm = f"{at}.{step + 1}"
            x = _convolved(graph, x, weights, f"{at}.{step}", norm, stride, clipped=not last)
        first = weights[f"{at}.{convolutions[0]}.weight"]
        channels = first.shape[1] if first.shape[1] > 1 else first.shape[0]
        last_channels = weights[f"{at}.{convolutions[-1]}.weight"].shape[0]
        if index not in strides and channels == last_channels:
            x = graph.node("Add", before, x)
    x = _convolved(graph, x, weights, "features.18.0", "features.18.1")
    x = graph.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    return graph.model([("input", FLOAT, [1, 3, 224, 224])], {"features": x})


_LITE0_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)


def efficientnet_lite0(file: Path) -> Any:
    """EfficientNet-Lite0: 224x224 to 1000 classes, padded as TensorFlow does."""
    weights = torch_weights(file)
    graph = Graph()
    size = 224

    def convolved(
        x: str, convolution: str, norm: str, stride: int = 1, clipped: bool = True
    ) -> str:
        nonlocal size
        kernel = weights[f"{convolution}.weight"].shape[2]
        result_size = -(-size // stride)
        whole = max(0, (result_size - 1) * stride + kernel - size)
        padding = whole // 2, whole - whole // 2
        size = result_size
        return _convolved(graph, x, weights, convolution, norm, stride, padding, 1e-3, clipped)

    x = convolved("input", "_conv_stem", "_bn0", 2)
    for index, stride in enumerate(_LITE0_STRIDES):
        before, at = x, f"_blocks.{index}"
        expands = f"{at}._expand_conv.weight" in weights
        if expands:
            x = convolved(x, f"{at}._expand_conv", f"{at}._bn0")
        x = convolved(x, f"{at}._depthwise_conv", f"{at}._bn1", stride)
        x = convolved(x, f"{at}._project_conv", f"{at}._bn2", clipped=False)
        if expands and stride == 1:
            channels = weights[f"{at}._expand_conv.weight"].shape[1]
            if channels == weights[f"{at}._project_conv.weight"].shape[0]:
                x = graph.node("Add", before, x)
    x = convolved(x, "_conv_head", "_bn1")
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    x = graph.node("Gemm", x, weights["_fc.weight"], weights["_fc.bias"], transB=1)
    return graph.model([("input", FLOAT, [1, 3, 224, 224])], {"logits": x})


_TOKENS, _WIDTH, _HEADS, _LAYERS = 128, 384, 12, 6


def minilm(file: Path) -> Any:
    """all-MiniLM-L6: 128 tokens of one sentence to their last hidden states."""
    weights = safetensors(file)
    graph = Graph()

    def normal(x: str, at: str) -> str:
        scale, bias = weights[f"{at}.weight"], weights[f"{at}.bias"]
        return graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def dense(x: str, at: str) -> str:
        product = graph.node("MatMul", x, weights[f"{at}.weight"].T)
        return graph.node("Add", weights[f"{at}.bias"], product)

    def heads(x: str, order: list[int]) -> str:
        size = np.array([1, _TOKENS, _HEADS, _WIDTH // _HEADS])
        return graph.node("Transpose", graph.node("Reshape", x, size), perm=order)

    words = graph.node("Gather", weights["embeddings.word_embeddings.weight"], "input_ids")
    types = weights["embeddings.token_type_embeddings.weight"][0]
    places = weights["embeddings.position_embeddings.weight"][None, :_TOKENS]
    x = graph.node("Add", graph.node("Add", words, types), places)
    x = normal(x, "embeddings.LayerNorm")
    mask = graph.node("Unsqueeze", "attention_mask", np.array([1]))
    mask = graph.node("Unsqueeze", mask, np.array([2]))
    mask = graph.node("Sub", np.array(1, np.float32), graph.node("Cast", mask, to=FLOAT))
    mask = graph.node("Mul", mask, np.array(np.finfo(np.float32).min, np.float32))
    for index in range(_LAYERS):
        at = f"encoder.layer.{index}"
        query = heads(dense(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = heads(dense(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = heads(dense(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = graph.node("MatMul", query, key)
        scores = graph.node("Div", scores, np.array(math.sqrt(_WIDTH // _HEADS), np.float32))
        scores = graph.node("Softmax", graph.node("Add", scores, mask), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", scores, value), perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", mixed, np.array([1, _TOKENS, _WIDTH]))
        mixed = dense(mixed, f"{at}.attention.output.dense")
        x = normal(graph.node("Add", mixed, x), f"{at}.attention.output.LayerNorm")
        wide = dense(x, f"{at}.intermediate.dense")
        error = graph.node("Erf", graph.node("Div", wide, np.array(math.sqrt(2), np.float32)))
        error = graph.node("Add", error, np.array(1, np.float32))
        wide = graph.node("Mul", graph.node("Mul", wide, error), np.array(0.5, np.float32))
        wide = dense(wide, f"{at}.output.dense")
        x = normal(graph.node("Add", wide, x), f"{at}.output.LayerNorm")
    names = ("input_ids", "attention_mask")
    return graph.model([(name, INT64, [1, _TOKENS]) for name in names], {"last_hidden_state": x})


def lstm_forecaster(_: Path) -> Any:
    """Two LSTM layers of 64 over 60 days of 5 figures, and a dense layer; random weights."""
    generator = np.random.default_rng(0)
    hidden, features, days = 64, 5, 60

    def drawn(*shape: int) -> Array:
        # What PyTorch starts its layers with.
        return generator.uniform(-(hidden**-0.5), hidden**-0.5, shape).astype(np.float32)

    graph = Graph()
    x = graph.node("Transpose", "window", perm=[1, 0, 2])
    for width in (features, hidden):
        gates = drawn(1, 4 * hidden, width), drawn(1, 4 * hidden, hidden), drawn(1, 8 * hidden)
        x = graph.node("LSTM", x, *gates, hidden_size=hidden)
        x = graph.node("Squeeze", x, np.array([1]))
    x = graph.node("Gather", x, np.array(-1), axis=0)
    x = graph.node("Gemm", x, drawn(1, hidden), drawn(1), transB=1)
    return graph.model([("window", FLOAT, [1, days, features])], {"forecast": x})


MAKERS: dict[str, Callable[[Path], Any]] = {
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_lite0": efficientnet_lite0,
    "minilm": minilm,
    "lstm_forecaster": lstm_forecaster,
}
