"""Shapes are static here: what asks for one gets a constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import shape_of
from edgetvm.models.onnx.node import Converter, Node


def constant(node: Node) -> Any:
    """A constant in any of its attributes."""
    from onnx import numpy_helper

    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attributes:
            return node.emit.const(np.asarray(node.attributes[name], dtype))
    if "value" in node.attributes:
        return node.emit.const(numpy_helper.to_array(node.attributes["value"]))
    raise node.refusal("it holds no tensor of numbers")


def shape(node: Node) -> Any:
    """The shape, or a part of it."""
    sizes = shape_of(node.inputs[0])
    begin, end = node.attributes.get("start", 0), node.attributes.get("end", len(sizes))
    return node.emit.const(np.asarray(sizes[slice(begin, end)], np.int64))


def size(node: Node) -> Any:
    """How many elements."""
    return node.emit.const(np.prod(shape_of(node.inputs[0]), dtype=np.int64))


SHAPES: dict[str, Converter] = {"Constant": constant, "Shape": shape, "Size": size}
