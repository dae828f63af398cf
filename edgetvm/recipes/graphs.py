"""ONNX graphs as exporters write them, for models that are made of published weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.recipes.weights import Weights

Array = NDArray[Any]
FLOAT, INT64 = 1, 7  # onnx.TensorProto's

_OPSET = 17


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


def convolved(
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
