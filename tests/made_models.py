"""Small ONNX models, built node by node, with weights from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
Shape = Sequence[int | str | None]


def value(name: str, shape: Shape, dtype: str = "FLOAT") -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: dict[str, NDArray[np.generic]] | None = None,
    domains: Sequence[str] = (),
) -> Path:
    """Write a model without any check, so that wrong ones can be written too."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        list(inputs),
        list(outputs),
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(name, 1) for name in domains)]
    # The newest IR version that every runtime of the last years reads.
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


def write_tiny(path: Path, seed: int = 0) -> Path:
    """`image` float32[1, 3, 8, 8] -> convolution, ReLU, mean, dense -> `scores` float32[1, 5]."""
    random = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["maps"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["positive"], "relu"),
        helper.make_node("GlobalAveragePool", ["positive"], ["mean"], "pool"),
        helper.make_node("Flatten", ["mean"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "dense", "offset"], ["scores"], "dense"),
    ]
    constants = {
        "kernel": random.standard_normal((4, 3, 3, 3), np.float32),
        "bias": random.standard_normal(4, np.float32),
        "dense": random.standard_normal((4, 5), np.float32),
        "offset": random.standard_normal(5, np.float32),
    }
    return write(path, nodes, [value("image", [1, 3, 8, 8])], [value("scores", [1, 5])], constants)


def write_stateful(path: Path) -> Path:
    """An accumulator: `total` = `sum` + `chunk`, `doubled` = 2 `total`; all float32[1, 4]."""
    nodes = [
        helper.make_node("Add", ["chunk", "sum"], ["total"], "add"),
        helper.make_node("Mul", ["total", "two"], ["doubled"], "double"),
    ]
    shape = [1, 4]
    return write(
        path,
        nodes,
        [value("chunk", shape), value("sum", shape)],
        [value("doubled", shape), value("total", shape)],
        {"two": np.array(2, np.float32)},
    )


def write_dynamic(path: Path) -> Path:
    """Two inputs with a shared dynamic batch: `a` [batch, 6] @ 6x3 + `b` [batch, 3] -> `c`."""
    random = np.random.default_rng(3)
    nodes = [
        helper.make_node("MatMul", ["a", "weights"], ["product"], "matmul"),
        helper.make_node("Add", ["product", "b"], ["c"], "add"),
    ]
    return write(
        path,
        nodes,
        [value("a", ["batch", 6]), value("b", ["batch", 3])],
        [value("c", ["batch", 3])],
        {"weights": random.standard_normal((6, 3), np.float32)},
    )


def write_unsupported(path: Path) -> Path:
    """Operators that no converter knows: two of one custom domain's, one of another's."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Warp", ["a"], ["b"], "warp-1", domain="maker.one"),
        helper.make_node("Warp", ["b"], ["c"], "warp-2", domain="maker.one"),
        helper.make_node("Fold", ["c"], ["y"], domain="maker.two"),
    ]
    return write(
        path, nodes, [value("x", [1, 4])], [value("y", [1, 4])], domains=["maker.one", "maker.two"]
    )


def write_odd_names(path: Path) -> Path:
    """Three outputs whose names no file could have: `a/b:0`, `../c`, `d e`."""
    nodes = [
        helper.make_node("Neg", ["in/x:0"], ["a/b:0"]),
        helper.make_node("Abs", ["in/x:0"], ["../c"]),
        helper.make_node("ReduceSum", ["in/x:0"], ["d e"], keepdims=0),
    ]
    return write(
        path,
        nodes,
        [value("in/x:0", [2, 3])],
        [value("a/b:0", [2, 3]), value("../c", [2, 3]), value("d e", [])],
    )


def write_integers(path: Path) -> Path:
    """Integer inputs: rows `index` (int64[2]) of a table, plus `offset` (int32[3]) as float32."""
    nodes = [
        helper.make_node("Gather", ["table", "index"], ["rows"], axis=0),
        helper.make_node("Cast", ["offset"], ["float_offset"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["rows", "float_offset"], ["y"]),
    ]
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    return write(
        path,
        nodes,
        [value("index", [2], "INT64"), value("offset", [3], "INT32")],
        [value("y", [2, 3])],
        {"table": table},
    )


def write_cancelling(path: Path) -> Path:
    """`x` float32[1, 256] -> `y` float32[1, 1], all rounding: the order of a sum decides."""
    weights = np.resize(np.array([1e8, -1e8], np.float32), (256, 1))
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["twice"], "twice", axis=1),
        helper.make_node("MatMul", ["twice", "weights"], ["y"], "product"),
    ]
    constants = {"weights": np.concatenate([weights, -weights])}
    return write(path, nodes, [value("x", [1, 256])], [value("y", [1, 1])], constants)


def write_layers(path: Path, wide: float = 3000.0, seed: int = 0) -> Path:
    """`x` float32[1, 16] -> three products `first`, `wide`, `last` with ReLUs -> `y` float32[1, 8].

    What `wide` takes has one column that is large, and has small weights for it: no 8-bit scale
    fits that column and the others.
    """
    random = np.random.default_rng(seed)
    factors = np.ones((16, 1), np.float32)
    factors[5] = wide
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["p1"], "first"),
        helper.make_node("Relu", ["p1"], ["r1"], "first-relu"),
        helper.make_node("MatMul", ["r1", "w2"], ["p2"], "wide"),
        helper.make_node("Relu", ["p2"], ["r2"], "wide-relu"),
        helper.make_node("MatMul", ["r2", "w3"], ["y"], "last"),
    ]
    constants = {
        "w1": random.standard_normal((16, 16), np.float32) / 4 * factors.T,
        "w2": random.standard_normal((16, 16), np.float32) / 4 / factors,
        "w3": random.standard_normal((16, 8), np.float32) / 4,
    }
    return write(path, nodes, [value("x", [1, 16])], [value("y", [1, 8])], constants)


def write_leaky(path: Path) -> Path:
    """A stream: `next` = 0.9 `state` + `chunk` W, `y` = `next` V; all float32[1, 8]."""
    random = np.random.default_rng(5)
    nodes = [
        helper.make_node("MatMul", ["chunk", "w"], ["in"], "in-product"),
        helper.make_node("Mul", ["state", "keep"], ["kept"], "keep-state"),
        helper.make_node("Add", ["kept", "in"], ["next"], "add-state"),
        helper.make_node("MatMul", ["next", "v"], ["y"], "out-product"),
    ]
    constants = {
        "w": random.standard_normal((8, 8), np.float32) / 3,
        "v": random.standard_normal((8, 8), np.float32) / 3,
        "keep": np.array(0.9, np.float32),
    }
    shape = [1, 8]
    return write(
        path,
        nodes,
        [value("chunk", shape), value("state", shape)],
        [value("y", shape), value("next", shape)],
        constants,
    )


def write_product(path: Path, seed: int = 0) -> Path:
    """`x` float32[64, 64] -> a product with a constant -> `y` float32[64, 64]: one kernel."""
    weights = np.random.default_rng(seed).standard_normal((64, 64), np.float32)
    node = helper.make_node("MatMul", ["x", "weights"], ["y"], "product")
    shape = [64, 64]
    return write(path, [node], [value("x", shape)], [value("y", shape)], {"weights": weights})


def write_shared(path: Path) -> Path:
    """A convolution that is worth sharing among threads: `x` float32[1, 16, 64, 64] -> `y`."""
    random = np.random.default_rng(7)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1, 1, 1])
    return write(
        path,
        [node],
        [value("x", [1, 16, 64, 64])],
        [value("y", [1, 32, 64, 64])],
        {"w": random.standard_normal((32, 16, 3, 3), np.float32)},
    )


def write_wide(path: Path) -> Path:
    """64-bit arithmetic: `a`, `b` int64[8] -> quotient, rest, and numbers made of one another."""
    nodes = [
        helper.make_node("Div", ["a", "b"], ["quotient"]),
        helper.make_node("Mod", ["a", "b"], ["rest"]),
        helper.make_node("Cast", ["a"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["a"], ["double"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["single", "half"], ["halved"]),
        helper.make_node("Cast", ["halved"], ["whole"], to=TensorProto.INT64),
    ]
    outputs = {"quotient": "INT64", "rest": "INT64", "single": "FLOAT", "double": "DOUBLE"}
    return write(
        path,
        nodes,
        [value(name, [8], "INT64") for name in ("a", "b")],
        [value(name, [8], dtype) for name, dtype in {**outputs, "whole": "INT64"}.items()],
        {"half": np.array(0.5, np.float32)},
    )
