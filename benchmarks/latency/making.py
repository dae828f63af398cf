"""Models that no package has as ONNX: graphs as exporters write them, around published weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.base.paths import shipped_folder
from edgetvm.recipes import run_module
from edgetvm.recipes.graphs import FLOAT, INT64, Array, Graph, convolved
from edgetvm.recipes.weights import safetensors, torch_weights


def efficientnet_lite0(file: Path) -> Any:
    """EfficientNet-Lite0, as its recipe makes it."""
    module = run_module(shipped_folder("recipes") / "vision" / "efficientnet_lite0.py")
    return module.efficientnet_lite0(file)


def mobilenet_v2(file: Path) -> Any:
    """MobileNetV2 1.0 without its classifier: 224x224 to 1280 features."""
    weights = torch_weights(file)
    graph = Graph()
    x = convolved(graph, "input", weights, "features.0.0", "features.0.1", 2)
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
            x = convolved(graph, x, weights, f"{at}.{step}", norm, stride, clipped=not last)
        first = weights[f"{at}.{convolutions[0]}.weight"]
        channels = first.shape[1] if first.shape[1] > 1 else first.shape[0]
        last_channels = weights[f"{at}.{convolutions[-1]}.weight"].shape[0]
        if index not in strides and channels == last_channels:
            x = graph.node("Add", before, x)
    x = convolved(graph, x, weights, "features.18.0", "features.18.1")
    x = graph.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    return graph.model([("input", FLOAT, [1, 3, 224, 224])], {"features": x})


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
