"""Operators on each element: arithmetic, comparisons, activations, conversions."""

from __future__ import annotations

import math

import numpy as np

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, shape_of
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.rules import Lower, Node, Refusal, Results, itself, rule

# Name to (Relax's operator, class of its options, where the activation is).
_ARITHMETIC = {
    "ADD": ("add", "AddOptions"),
    "SUB": ("subtract", "SubOptions"),
    "MUL": ("multiply", "MulOptions"),
    "DIV": ("divide", "DivOptions"),
}
_PLAIN = {
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "POW": "power",
    "FLOOR_DIV": "floor_divide",
    "FLOOR_MOD": "floor_mod",
    "ATAN2": "atan2",
    "LEFT_SHIFT": "left_shift",
    "RIGHT_SHIFT": "right_shift",
    "BITWISE_XOR": "bitwise_xor",
}
_COMPARISONS = {
    "EQUAL": "equal",
    "NOT_EQUAL": "not_equal",
    "LESS": "less",
    "LESS_EQUAL": "less_equal",
    "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal",
    "LOGICAL_AND": "logical_and",
    "LOGICAL_OR": "logical_or",
}
_UNARY = {
    "ABS": "abs",
    "NEG": "negative",
    "EXP": "exp",
    "LOG": "log",
    "SQRT": "sqrt",
    "RSQRT": "rsqrt",
    "SIN": "sin",
    "COS": "cos",
    "FLOOR": "floor",
    "CEIL": "ceil",
    "ROUND": "round",
    "SIGN": "sign",
    "TANH": "tanh",
    "LOGISTIC": "sigmoid",
    "LOGICAL_NOT": "logical_not",
}


def _arithmetic(operator: str, options: str) -> Lower:
    def lower(node: Node) -> Value:
        value = node.emit(operator, node.value(0), node.value(1))
        return node.activated(value, node.options(options).FusedActivationFunction())

    return lower


def _plain(operator: str) -> Lower:
    return lambda node: node.emit(operator, node.value(0), node.value(1))


def _unary(operator: str) -> Lower:
    return lambda node: node.emit(operator, node.value(0))


def _is_8_bit(node: Node) -> bool:
    tensors = (*node.tensors[:2], node.result)
    return all(
        tensor is not None
        and tensor.scales is not None
        and not tensor.scales.per_channel
        and tensor.dtype in ("int8", "uint8")
        for tensor in tensors
    )


def _added(options: str, sign: int) -> Lower:
    """XNNPACK's sum: both operands by 21-bit multipliers of one shift, then one rounding shift."""

    def quantised(node: Node) -> Results:
        if not _is_8_bit(node):
            return NotImplemented
        emit = node.emit
        activation = node.options(options).FusedActivationFunction()
        scales = (node.scales(0), node.scales(1))
        factors = [float(one.scale[0] / node.result_scales.scale[0]) for one in scales]
        shift = 20 - math.frexp(max(factors))[1] + 1
        multipliers = [round(factor * 2.0**shift) for factor in factors]
        multipliers[1] *= sign
        if not 1 <= shift < 31:
            return NotImplemented
        bias = 1 << (shift - 1)
        total: Value | None = None
        for index, (one, multiplier) in enumerate(zip(scales, multipliers, strict=True)):
            bias -= multiplier * int(one.zero_point[0])
            term = emit("multiply", emit.cast(node.value(index), "int32"), multiplier)
            total = term if total is None else emit("add", total, term)
        shifted = emit("right_shift", emit("add", total, bias), shift)
        result = emit("add", shifted, int(node.result_scales.zero_point[0]))
        within = q.clip_range(activation, node.result_scales, node.result.dtype)
        return emit.cast(emit.clip(result, *within), node.result.dtype)

    return quantised


def _multiplied(node: Node) -> Results:
    """The product of the integers, rescaled."""
    if not _is_8_bit(node):
        return NotImplemented
    emit = node.emit
    parts = []
    for index in (0, 1):
        wide = emit.cast(node.value(index), "int32")
        parts.append(emit("subtract", wide, int(node.scales(index).zero_point[0])))
    factor = node.scales(0).scale * node.scales(1).scale / node.result_scales.scale
    activation = node.options("MulOptions").FusedActivationFunction()
    within = q.clip_range(activation, node.result_scales, node.result.dtype)
    return q.rescale(
        emit,
        emit("multiply", *parts),
        factor[0],
        node.result_scales,
        node.result.dtype,
        within,
    )


def _chosen(operator: str) -> Lower:
    """MAXIMUM and MINIMUM compare the integers, if these stand for the same numbers."""

    def quantised(node: Node) -> Results:
        tensors = (node.tensors[0], node.tensors[1], node.result)
        if any(
            tensor is None or not q.same(tensor.scales, node.result.scales) for tensor in tensors
        ):
            return NotImplemented
        return node.emit(operator, node.value(0), node.value(1))

    return quantised


_INSTEAD: dict[str, Lower] = {
    "ADD": _added("AddOptions", 1),
    "SUB": _added("SubOptions", -1),
    "MUL": _multiplied,
    "MAXIMUM": _chosen("maximum"),
    "MINIMUM": _chosen("minimum"),
}
for _name, (_operator, _options) in _ARITHMETIC.items():
    rule(_name, instead=_INSTEAD.get(_name), elementwise=True)(_arithmetic(_operator, _options))
for _name, _operator in _PLAIN.items():
    rule(_name, instead=_INSTEAD.get(_name), elementwise=True)(_plain(_operator))
for _name, _operator in _COMPARISONS.items():
    rule(_name)(_plain(_operator))
for _name, _operator in _UNARY.items():
    rule(_name, elementwise=True)(_unary(_operator))


@rule("SQUARE", elementwise=True)
def square(node: Node) -> Value:
    """x * x."""
    return node.emit("multiply", node.value(0), node.value(0))


@rule("SQUARED_DIFFERENCE", elementwise=True)
def squared_difference(node: Node) -> Value:
    """(a - b) * (a - b)."""
    difference = node.emit("subtract", node.value(0), node.value(1))
    return node.emit("multiply", difference, difference)


@rule("ADD_N")
def add_n(node: Node) -> Value:
    """The sum of all inputs."""
    total = node.value(0)
    for index in range(1, len(node.inputs)):
        total = node.emit("add", total, node.value(index))
    return total


@rule("SELECT", "SELECT_V2", quantised=itself)
def select(node: Node) -> Value:
    """The second input where the first holds, else the third."""
    emit = node.emit
    condition, a, b = node.value(0), node.value(1), node.value(2)
    shape, wanted = shape_of(condition), shape_of(a)
    if node.operator.name == "SELECT" and len(shape) == 1 < len(wanted):
        condition = emit.reshape(condition, (*shape, *[1] * (len(wanted) - 1)))
    sides = []
    for index, value in ((1, a), (2, b)):
        tensor = node.tensors[index]
        if tensor is not None and tensor.scales is not None and node.result.scales is not None:
            sides.append(
                q.requantise(emit, value, tensor.scales, node.result.scales, node.result.dtype)
            )
        else:
            sides.append(value)
    return emit.where(condition, sides[0], sides[1])


@rule("ZEROS_LIKE", quantised=itself)
def zeros_like(node: Node) -> Value:
    """Zeros, of the input's shape."""
    return node.emit.full(node.shape(0), 0, dtype_of(node.value(0)))


@rule("CAST", quantised=itself)
def cast(node: Node) -> Value:
    """The same numbers in another dtype; a quantised tensor's integers as they are."""
    dtype = node.result.dtype
    if dtype not in _CASTS:
        raise Refusal(f"to {dtype}")
    return node.emit.cast(node.value(0), dtype)


_CASTS = ("float16", "float32", "float64", "bool") + tuple(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)


@rule("DEQUANTIZE", quantised=itself)
def dequantize(node: Node) -> Value:
    """Integers, or float16, as float32."""
    tensor = node.tensors[0]
    if tensor is None or tensor.scales is None:
        if tensor is not None and tensor.dtype == "float16":
            return node.emit.cast(node.value(0), "float32")
        raise Refusal("of a tensor without quantisation")
    return q.dequantise(node.emit, node.value(0), tensor.scales)


@rule("QUANTIZE", quantised=itself)
def quantize(node: Node) -> Value:
    """Real numbers as integers, or integers of one quantisation as those of another."""
    tensor = node.tensors[0]
    if tensor is not None and tensor.scales is not None:
        return _rescaled(node, tensor.scales)
    return q.quantise(node.emit, node.value(0), node.result_scales, node.result.dtype)


def _rescaled(node: Node, source: Scales) -> Value:
    """XNNPACK's conversion, for 8 bits of one kind: by a multiplier in steps of 1/256."""
    emit, result = node.emit, node.result_scales
    multiplier = round(256 * float(np.float32(source.scale[0]) / np.float32(result.scale[0])))
    dtypes = (dtype_of(node.value(0)), node.result.dtype)
    if dtypes not in (("int8", "int8"), ("uint8", "uint8")) or not 1 <= multiplier <= 1 << 15:
        return q.requantise(emit, node.value(0), source, result, node.result.dtype)
    centred = emit("subtract", emit.cast(node.value(0), "int32"), int(source.zero_point[0]))
    total = emit("add", emit("multiply", centred, multiplier), 128)
    moved = emit("add", emit("right_shift", total, 8), int(result.zero_point[0]))
    return emit.cast(emit.clip(moved, *q.limits(node.result.dtype)), node.result.dtype)


@rule("FAKE_QUANT")
def fake_quant(node: Node) -> Value:
    """Rounded to steps between two bounds, as training saw it."""
    options = node.options("FakeQuantOptions")
    levels = 2 ** options.NumBits() - 1
    low, high = min(options.Min(), 0.0), max(options.Max(), 0.0)
    least = 1 if options.NarrowRange() else 0
    scale = (high - low) / (levels - least) or 1.0
    zero = min(max(round(least - low / scale), least), levels)
    emit = node.emit
    counted = emit("add", emit("round", emit("multiply", node.value(0), 1 / scale)), zero)
    return emit("multiply", emit("subtract", emit.clip(counted, least, levels), zero), scale)
