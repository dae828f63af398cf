"""Tensors made of shapes and numbers: mostly known while the model is imported."""

from __future__ import annotations

import math

import numpy as np

from edgetvm.models.tflite.emitter import Value, is_constant
from edgetvm.models.tflite.rules import Node, itself, rule


@rule("SHAPE", quantised=itself)
def shape(node: Node) -> Value:
    """The input's shape."""
    return np.array(node.shape(0), node.result.dtype)


@rule("RANK", quantised=itself)
def rank(node: Node) -> Value:
    """How many axes the input has."""
    return np.array(len(node.shape(0)), np.int32)


@rule("FILL", quantised=itself)
def fill(node: Node) -> Value:
    """One value everywhere."""
    return node.emit.broadcast(node.value(1), node.integers(0, "a shape"))


@rule("RANGE")
def range_(node: Node) -> Value:
    """From start to limit by steps."""
    start, limit, step = (node.constant(index, "bounds").ravel()[0] for index in range(3))
    count = math.ceil((float(limit) - float(start)) / float(step))
    if not 0 <= count < 1 << 24:
        raise ValueError(f"a range of {count}")
    return (start + step * node.emit.indices(count, "int64")).astype(node.result.dtype)


@rule("ONE_HOT", quantised=itself)
def one_hot(node: Node) -> Value:
    """`on` where the new axis' index is the input's, else `off`."""
    emit = node.emit
    depth = node.integer(1, "a depth")
    size = len(node.shape(0)) + 1
    axis = node.axis(node.options("OneHotOptions").Axis(), size)
    inner = list(node.shape(0))
    inner.insert(axis, 1)
    if not 0 < depth < 1 << 24:
        raise ValueError(f"a depth of {depth}")
    indices = emit.reshape(emit.cast(node.value(0), "int32"), inner)
    every = emit.indices(depth).reshape([-1 if at == axis else 1 for at in range(size)])
    hit = emit("equal", indices, every)
    on, off = (emit.reshape(node.value(index), ()) for index in (2, 3))
    if is_constant(hit):
        return np.where(hit, on, off)
    return emit.where(hit, on, off)
