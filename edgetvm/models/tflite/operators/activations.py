"""Activations, and the softmax."""

from __future__ import annotations

import math

import numpy as np

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, is_constant
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule


@rule("RELU", elementwise=True)
def relu(node: Node) -> Value:
    """Not below 0."""
    return node.activated(node.value(0), 1)


@rule("RELU_N1_TO_1", elementwise=True)
def relu_n1_to_1(node: Node) -> Value:
    """Between -1 and 1."""
    return node.activated(node.value(0), 2)


@rule("RELU6", elementwise=True)
def relu6(node: Node) -> Value:
    """Between 0 and 6."""
    return node.activated(node.value(0), 3)


@rule("RELU_0_TO_1", elementwise=True)
def relu_0_to_1(node: Node) -> Value:
    """Between 0 and 1."""
    return node.emit.clip(node.value(0), 0, 1)


@rule("HARD_SWISH", elementwise=True)
def hard_swish(node: Node) -> Value:
    """x * relu6(x + 3) / 6."""
    emit, x = node.emit, node.value(0)
    gate = emit.clip(emit("add", x, 3), 0, 6)
    return emit("multiply", emit("multiply", x, gate), 1 / 6)


@rule("LEAKY_RELU", elementwise=True)
def leaky_relu(node: Node) -> Value:
    """alpha * x below 0."""
    alpha = node.options("LeakyReluOptions").Alpha()
    return _split_at_zero(node, node.emit("multiply", node.value(0), alpha))


@rule("PRELU", elementwise=True)
def prelu(node: Node) -> Value:
    """The same with an alpha for each channel."""
    return _split_at_zero(node, node.emit("multiply", node.value(0), node.value(1)))


@rule("ELU", elementwise=True)
def elu(node: Node) -> Value:
    """exp(x) - 1 below 0."""
    below = node.emit.clip(node.value(0), -math.inf, 0)
    return _split_at_zero(node, node.emit("subtract", node.emit("exp", below), 1))


def _split_at_zero(node: Node, below: Value) -> Value:
    x = node.value(0)
    return node.emit.where(node.emit("less", x, 0), below, x)


@rule("GELU", elementwise=True)
def gelu(node: Node) -> Value:
    """By the error function, or by tanh where the file says approximate."""
    emit, x = node.emit, node.value(0)
    if node.options("GeluOptions").Approximate():
        cube = emit("multiply", emit("multiply", x, x), x)
        inner = emit("add", x, emit("multiply", cube, 0.044715))
        gate = emit("tanh", emit("multiply", inner, math.sqrt(2 / math.pi)))
    else:
        gate = emit("erf", emit("multiply", x, math.sqrt(0.5)))
    return emit("multiply", emit("multiply", x, 0.5), emit("add", gate, 1))


@rule("SOFTMAX", quantised=itself)
def softmax(node: Node) -> Value:
    """Over the last axis."""
    beta = node.options("SoftmaxOptions").Beta()
    tensor = node.tensors[0]
    if tensor is not None and tensor.scales is not None:
        return _softmax_of_integers(node, tensor.scales, beta)
    emit, x = node.emit, node.value(0)
    if is_constant(x):
        raise Refusal("of a constant")
    from tvm import relax

    scaled = x if beta == 1 else emit("multiply", x, beta)
    return emit.relax(lambda value: relax.op.nn.softmax(value, -1), scaled)


def _softmax_of_integers(node: Node, scales: Scales, beta: float) -> Value:
    """LiteRT's: exponentials from a table, by how far an element lies below the largest."""
    emit, x = node.emit, node.value(0)
    last = (len(node.shape(0)) - 1,)
    step = np.float32(scales.scale[0]) * np.float32(beta)
    if dtype_of(x) in ("int8", "uint8"):
        table = np.exp(-step * np.arange(256, dtype=np.float32)).astype(np.float32)
        wide = emit.cast(x, "int32")
        below = emit("subtract", emit.reduce("max", wide, last, keep=True), wide)
        raised = emit.take(table, below, 0)
    else:
        wide = emit.cast(x, "float32")
        below = emit("subtract", wide, emit.reduce("max", wide, last, keep=True))
        raised = emit("exp", emit("multiply", below, float(step)))
    total = emit.reduce("sum", raised, last, keep=True)
    result = node.result_scales
    scaled = emit("divide", raised, emit("multiply", total, float(result.scale[0])))
    # It rounds halves up: what it rounds is positive.
    rounded = emit("floor", emit("add", scaled, 0.5))
    return q.settle(emit, rounded, int(result.zero_point[0]), node.result.dtype)


@rule("LOG_SOFTMAX")
def log_softmax(node: Node) -> Value:
    """The logarithm of the softmax over the last axis."""
    from tvm import relax

    return node.emit.relax(lambda value: relax.op.nn.log_softmax(value, -1), node.value(0))
