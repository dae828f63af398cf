"""Light models of the onnx package, which come without weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def with_weights(model: Any, seed: int = 0) -> Any:
    """A light model with random weights of the usual size, so that values neither grow nor fade."""
    from onnx import helper, numpy_helper

    generator = np.random.default_rng(seed)
    graph = model.graph
    shapes = {one.name: one for one in graph.initializer}
    wanted: dict[str, tuple[int, ...]] = {}
    for node in list(graph.node):
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            size = numpy_helper.to_array(shapes[node.input[0]])
            wanted[node.output[0]] = tuple(int(axis) for axis in size)
            graph.node.remove(node)
            graph.initializer.remove(shapes[node.input[0]])
    for one in list(graph.initializer):
        if one.data_type == 1 and one.name not in wanted:
            wanted[one.name] = tuple(one.dims)
            graph.initializer.remove(one)
    roles = _roles(graph)
    for name, shape in wanted.items():
        array = _drawn(roles.get(name, "offset"), shape, generator)
        graph.initializer.append(numpy_helper.from_array(array, name))
    for node in graph.node:
        # The default of their opset, which engines that know newer ones only take for the last.
        if node.op_type == "Softmax" and not node.attribute:
            node.attribute.append(helper.make_attribute("axis", 1))
    constant = {one.name for one in graph.initializer}
    kept = [entry for entry in graph.input if entry.name not in constant]
    kept = [entry for entry in kept if not entry.name.endswith("__SHAPE")]
    del graph.input[:]
    graph.input.extend(kept)
    return model


# Sums of residuals would grow to where a softmax is all 0 and 1: branches are damped.
_BATCH_NORM = ("", "damping", "offset", "offset", "scale")


def _roles(graph: Any) -> dict[str, str]:
    """What each parameter is: `weights`, `scale`, `damping` or `offset`."""
    roles: dict[str, str] = {}
    source = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        for position, name in enumerate(node.input):
            # A scale may be reshaped on its way.
            origin = source[name].input[0] if name in source and _reshapes(source[name]) else name
            match node.op_type:
                case "Conv" | "Gemm" | "MatMul" if position == 1:
                    roles[origin] = "weights"
                case "BatchNormalization" if position:
                    roles[origin] = _BATCH_NORM[position]
                case "Mul" if position:
                    roles[origin] = "scale"
    return roles


def _reshapes(node: Any) -> bool:
    return node.op_type in ("Unsqueeze", "Reshape")


def _drawn(role: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    if role == "weights":
        fan_in = math.prod(shape[1:])
        drawn = generator.standard_normal(shape) * math.sqrt(2 / fan_in)
    elif role in ("scale", "damping"):
        drawn = generator.uniform(0.8, 1.2, shape) * (0.5 if role == "damping" else 1)
    else:
        drawn = generator.uniform(-0.1, 0.1, shape)
    return drawn.astype(np.float32)
