"""Operators on each element, where TVM's converters give forms that later passes cannot digest."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import array_of, dtype_of, is_float, rank_of, shape_of
from edgetvm.models.onnx.narrow import CARRIERS, convert
from edgetvm.models.onnx.node import Converter, Node


def clip(node: Node) -> Any:
    """Bounds as attributes (below opset 11) or inputs; a NaN bound is no bound."""
    emit, value = node.emit, node.inputs[0]
    for index, attribute, bound in ((1, "min", emit.maximum), (2, "max", emit.minimum)):
        limit = None
        if attribute in node.attributes:
            limit = emit.like(node.attributes[attribute], value)
        elif node.has(index):
            limit = node.inputs[index]
        if limit is None:
            continue
        array = array_of(limit)
        if array is not None and is_float(dtype_of(value)) and bool(np.isnan(array).all()):
            continue
        value = bound(value, limit)
    return value


def _chain(step: str) -> Converter:
    def chained(node: Node) -> Any:
        first: Callable[[Any, Any], Any] = getattr(node.emit, step)
        return reduce(first, node.inputs)

    return chained


def mean(node: Node) -> Any:
    """The sum, divided by the number of operands."""
    total = reduce(node.emit.add, node.inputs)
    return node.emit.divide(total, node.emit.like(len(node.inputs), total))


def dropout(node: Node) -> Any:
    """Nothing is dropped at inference; the mask, where it is wanted, is all true."""
    value = node.inputs[0]
    if node.output_count < 2:
        return [value]
    # Before opset 10 the mask had the data's own dtype.
    dtype = "bool" if node.opset >= 10 else dtype_of(value)
    return [value, node.emit.const(np.ones(shape_of(value), dtype))]


def bit_cast(node: Node) -> Any:
    """The same bits as another dtype of the same width."""
    from onnx import helper
    from tvm import te, tirx

    dtype = str(helper.tensor_dtype_to_np_dtype(node.attributes["to"]).name)
    value = node.inputs[0]
    if dtype == "bool" or dtype_of(value) == "bool":
        return node.emit.cast(value, dtype)

    def compute(data: Any) -> Any:
        return te.compute(data.shape, lambda *i: tirx.reinterpret(dtype, data[i]), name="bit_cast")

    return node.emit.te(compute, value)


def cast(node: Node) -> Any:
    """To or from a narrow type, or from float to integer; all else is TVM's."""
    from onnx import helper

    target = str(helper.tensor_dtype_to_np_dtype(node.attributes["to"]).name)
    return _converted(node, target)


def cast_like(node: Node) -> Any:
    """As `cast`, to the type of the second input."""
    return _converted(node, node.kind(1))


def _converted(node: Node, target: str) -> Any:
    source = node.kind(0)
    if source not in CARRIERS and target not in CARRIERS:
        return _truncated(node, target) if is_float(source) and "int" in target else None
    saturate = bool(node.attributes.get("saturate", 1))
    made = convert(node.emit, node.inputs[0], source, target, saturate)
    return node.reader.mark(made, target)


def _truncated(node: Node, target: str) -> Any:
    """A float without its fraction. What does not fit is undefined in ONNX: TVM's converter, which
    takes it modulo the range, makes ten operators of this one.
    """
    whole = target if target.endswith(("32", "64")) else "int32"
    return node.emit.cast(node.emit.cast(node.inputs[0], whole), target)


def power(node: Node) -> Any:
    """Of integers by way of float64; a mixed pair gives the base's dtype."""
    emit = node.emit
    base, exponent = node.inputs
    dtype = dtype_of(base)
    wide = dtype if is_float(dtype) else "float64"
    base, exponent = emit.cast(base, wide), emit.cast(exponent, wide)
    array = array_of(exponent)
    if array is not None and array.size == 1 and float(array.ravel()[0]) == 2.0 and array.ndim == 0:
        return emit.cast(emit.multiply(base, base), dtype)
    return emit.cast(emit.emit(emit.operator("power")(base, exponent)), dtype)


def is_infinite(node: Node) -> Any:
    """Either infinity, or one of them."""
    emit, value = node.emit, node.inputs[0]
    chosen = [
        emit.equal(value, emit.like(sign * np.inf, value))
        for sign, name in ((1, "detect_positive"), (-1, "detect_negative"))
        if node.attributes.get(name, 1)
    ]
    if not chosen:
        return emit.const(np.zeros(shape_of(value), np.bool_))
    return reduce(lambda a, b: emit.emit(emit.operator("logical_or")(a, b)), chosen)


def mod(node: Node) -> Any:
    """Remainder with the divisor's sign, or (fmod) with the dividend's."""
    emit = node.emit
    a, b = node.inputs
    from tvm import tirx

    if not is_float(dtype_of(a)):
        return None
    wide, name = ("float64", "fmod") if dtype_of(a) == "float64" else ("float32", "fmodf")

    def remainder(x: Any, y: Any) -> Any:
        # libm's: a - trunc(a / b) * b is wrong for infinities and large quotients.
        whole = tirx.call_pure_extern(wide, name, x.astype(wide), y.astype(wide))
        return whole.astype(x.dtype)

    if node.attributes.get("fmod", 0):
        return emit.te(lambda x, y: _broadcast(x, y, remainder), a, b)

    def floor_mod(x: Any, y: Any) -> Any:
        rest = remainder(x, y)
        zero = tirx.const(0, x.dtype)
        other = tirx.Or(tirx.And(rest < zero, y > zero), tirx.And(rest > zero, y < zero))
        return tirx.Select(other, rest + y, rest)

    return emit.te(lambda x, y: _broadcast(x, y, floor_mod), a, b)


def _broadcast(x: Any, y: Any, function: Callable[[Any, Any], Any]) -> Any:
    """An element-wise function of two tensors that broadcast."""
    from tvm import te

    shape = np.broadcast_shapes(*(tuple(map(int, tensor.shape)) for tensor in (x, y)))
    rank = len(shape)

    def at(tensor: Any, indices: Any) -> Any:
        own = indices[rank - len(tensor.shape) :]
        return tensor[
            tuple(0 if int(s) == 1 else i for s, i in zip(tensor.shape, own, strict=True))
        ]

    return te.compute(shape, lambda *i: function(at(x, i), at(y, i)), name="elementwise")


def mish(node: Node) -> Any:
    """x tanh(softplus(x))."""
    emit, value = node.emit, node.inputs[0]
    return emit.multiply(value, emit.unary("tanh", emit.softplus(value)))


def elu(node: Node) -> Any:
    """x where positive, else alpha (e^x - 1)."""
    emit, value = node.emit, node.inputs[0]
    zero = emit.like(0, value)
    below = emit.subtract(emit.unary("exp", emit.minimum(value, zero)), emit.like(1, value))
    alpha = emit.like(float(node.attributes.get("alpha", 1.0)), value)
    return emit.add(emit.maximum(value, zero), emit.multiply(alpha, below))


def matmul(node: Node) -> Any:
    """Products of float16 are summed in float32."""
    emit = node.emit
    a, b = node.inputs
    if dtype_of(a) != "float16" or rank_of(a) == 0 or rank_of(b) == 0:
        return None
    product = emit.emit(emit.operator("matmul")(a, b, out_dtype="float32"))
    return emit.cast(product, "float16")


def bit_shift(node: Node) -> Any:
    """Of signed numbers; by a count that is negative or too large, all bits are shifted out."""
    from tvm import tirx

    right = node.attributes["direction"] == "RIGHT"
    dtype = dtype_of(node.inputs[0])
    if dtype.startswith("u"):
        return None
    width = np.dtype(dtype).itemsize * 8

    def shifted(x: Any, y: Any) -> Any:
        inside = tirx.And(y >= tirx.const(0, dtype), y < tirx.const(width, dtype))
        bits = tirx.Select(inside, y, tirx.const(width - 1, dtype))
        if right:
            return tirx.shift_right(x, bits)
        return tirx.Select(inside, tirx.shift_left(x, bits), tirx.const(0, dtype))

    return node.emit.te(lambda x, y: _broadcast(x, y, shifted), *node.inputs)


ELEMENTWISE: dict[str, Converter] = {
    "BitCast": bit_cast,
    "BitShift": bit_shift,
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "Elu": elu,
    "MatMul": matmul,
    "IsInf": is_infinite,
    "Mish": mish,
    "Mod": mod,
    "Pow": power,
    "Softplus": lambda node: node.emit.softplus(node.inputs[0]),
    "Sum": _chain("add"),
    "Max": _chain("maximum"),
    "Min": _chain("minimum"),
    "Mean": mean,
    "Dropout": dropout,
    "Identity": lambda node: node.inputs[0],
}
