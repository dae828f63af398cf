"""ONNX Runtime's own quantised operators (com.microsoft), as its quantiser writes them.

Those that ONNX Runtime computes by dequantising do so here too; products stay integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node
from edgetvm.models.onnx.quantised import (
    centred,
    dequantize_linear,
    dynamic_quantize_linear,
    integer_product,
    quantised_to_range,
    quantize_linear,
    requantised,
)
from edgetvm.models.onnx.recurrent import Products, lstm, of_direction
from edgetvm.models.onnx.runtime_attention import attention_of


def _floats(node: Node, index: int) -> Any:
    """The real numbers that inputs `index` (values), + 1 (scale) and + 2 (zero point) stand for."""
    return node.apply("DequantizeLinear", *(node.input(index + k) for k in range(3)))


def _quantised(node: Node, value: Any, index: int, dtype: str) -> Any:
    """Real numbers by the scale and zero point of inputs `index` and + 1."""
    zero = node.input(index + 1)
    if zero is None:
        zero = node.emit.const(np.zeros((), dtype))
    return node.apply("QuantizeLinear", value, node.inputs[index], zero)


def _binary(operator: str) -> Converter:
    def convert(node: Node) -> Any:
        result = node.apply(operator, _floats(node, 0), _floats(node, 3))
        return _quantised(node, result, 6, dtype_of(node.inputs[0]))

    return convert


def _unary(operator: str, *names: str) -> Converter:
    """An operator of one input with the attributes `names`."""

    def convert(node: Node) -> Any:
        given = {name: node.attributes.get(name) for name in names}
        result = node.apply(operator, _floats(node, 0), **given)
        return _quantised(node, result, 3, dtype_of(node.inputs[0]))

    return convert


def _channels_first(operator: str, *names: str) -> Converter:
    """As `_unary`, of an image whose channels may come last."""

    def convert(node: Node) -> Any:
        emit, value = node.emit, _floats(node, 0)
        rank = rank_of(value)
        last = bool(node.attributes.get("channels_last", 0))
        if last:
            value = emit.transpose(value, (0, rank - 1, *range(1, rank - 1)))
        given = {name: node.attributes.get(name) for name in names}
        result = node.apply(operator, value, **given)
        if last:
            result = emit.transpose(result, (0, *range(2, rank), 1))
        return _quantised(node, result, 3, dtype_of(node.inputs[0]))

    return convert


def _softmax(node: Node) -> Any:
    emit, value = node.emit, _floats(node, 0)
    shape = shape_of(value)
    axis = int(node.attributes.get("axis", -1)) % len(shape)
    if int(node.attributes.get("opset", 13)) < 13:
        # All axes from this one on are one.
        rows = int(np.prod(shape[:axis], dtype=np.int64))
        value = emit.reshape(value, (rows, int(np.prod(shape[axis:], dtype=np.int64))))
        axis = 1
    result = emit.emit(emit.operator("nn.softmax")(value, axis))
    return _quantised(node, emit.reshape(result, shape), 3, dtype_of(node.inputs[0]))


def _concat(node: Node) -> Any:
    parts = [_floats(node, index) for index in range(2, len(node.inputs), 3)]
    result = node.emit.concat(parts, int(node.attributes["axis"]) % rank_of(parts[0]))
    return _quantised(node, result, 0, dtype_of(node.inputs[2]))


def _where(node: Node) -> Any:
    result = node.emit.where(node.inputs[0], _floats(node, 1), _floats(node, 4))
    return _quantised(node, result, 7, dtype_of(node.inputs[1]))


def _scaled(node: Node, total: Any, a_scale: Any, b_scale: Any, bias: Any) -> Any:
    """Integer sums as the real numbers that they stand for."""
    emit = node.emit
    scale = emit.multiply(_scalar(node, a_scale), _scalar(node, b_scale))
    result = emit.multiply(emit.cast(total, dtype_of(scale)), scale)
    return result if bias is None else emit.add(result, bias)


def _scalar(node: Node, value: Any) -> Any:
    return node.emit.reshape(value, ()) if shape_of(value) == (1,) else value


def _matmul_integer_to_float(node: Node) -> Any:
    a, b, a_scale, b_scale = node.inputs[:4]
    total = integer_product(node, a, node.input(4), b, node.input(5))
    return _scaled(node, total, a_scale, b_scale, node.input(6))


def _dynamic_matmul(node: Node) -> Any:
    """a is quantised to the range that it turns out to have."""
    a, a_scale, a_zero = dynamic_quantize_linear(node)
    total = integer_product(node, a, a_zero, node.inputs[1], node.input(3))
    return _scaled(node, total, a_scale, node.inputs[2], node.input(4))


def _attention(node: Node) -> list[Any]:
    """Query, key and value by one product of integers; the rest of attention is in floats."""
    data, weights, bias, data_scale, weight_scale = node.inputs[:5]
    total = integer_product(node, data, node.input(6), weights, node.input(7))
    return attention_of(node, _scaled(node, total, data_scale, weight_scale, bias), 5, 8)


def _dynamic_lstm_products(node: Node, rows: Any) -> Products:
    """8-bit weights `[directions, ..., gates * hidden]`; input and state are quantised to the range
    that they turn out to have, the input's over all steps.
    """
    emit = node.emit
    weights, recurrences, w_scale, w_zero, r_scale, r_zero = (node.inputs[k] for k in _LSTM_WEIGHTS)
    directions, hidden, width = shape_of(recurrences)
    levels, scale, zero = quantised_to_range(node, rows)

    def projected(index: int) -> Any:
        b_zero = of_direction(emit, w_zero, index)
        total = integer_product(node, levels, zero, of_direction(emit, weights, index), b_zero)
        return _scaled(node, total, scale, of_direction(emit, w_scale, index), None)

    def recurrent(index: int) -> Any:
        whole = centred(
            node, of_direction(emit, recurrences, index), of_direction(emit, r_zero, index)
        )
        return emit.transpose(whole, (1, 0))

    def scales(index: int) -> dict[str, Any]:
        return {"scales": emit.broadcast(of_direction(emit, r_scale, index), (width,))}

    return Products(directions, hidden, projected, recurrent, scales)


def _gemm(node: Node) -> Any:
    """alpha * a @ b + c, where c is an integer in the product's own scale."""
    emit = node.emit
    a, a_scale, a_zero, b, b_scale, b_zero = node.inputs[:6]
    if node.attributes.get("transA", 0):
        a = emit.transpose(a, (1, 0))
    if node.attributes.get("transB", 0):
        b = emit.transpose(b, (1, 0))
    total = integer_product(node, a, a_zero, b, b_zero)
    if node.has(6):
        total = emit.add(total, node.inputs[6])
    alpha = emit.const(np.float32(node.attributes.get("alpha", 1.0)))
    a_scale = emit.multiply(_scalar(node, a_scale), alpha)
    if not node.has(7):
        return _scaled(node, total, a_scale, b_scale, None)
    zero = node.input(8)
    if zero is None:
        zero = emit.const(np.zeros((), dtype_of(a)))
    scales = (a_scale, _scalar(node, b_scale), _scalar(node, node.inputs[7]))
    return requantised(node, total, scales, zero)


# Positions of an LSTM's weights; then scale and zero point of the input's, of the state's.
_LSTM_WEIGHTS = (1, 2, 8, 9, 10, 11)
_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")

RUNTIME_QUANTISED: dict[str, Converter] = {
    f"com.microsoft.{name}": converter
    for name, converter in {
        # The standard operators, which ONNX had for fewer types when these were made.
        "QuantizeLinear": quantize_linear,
        "DequantizeLinear": dequantize_linear,
        "QLinearAdd": _binary("Add"),
        "QLinearMul": _binary("Mul"),
        "QLinearSigmoid": _unary("Sigmoid"),
        "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
        "QLinearSoftmax": _softmax,
        "QLinearConcat": _concat,
        "QLinearWhere": _where,
        "QLinearAveragePool": _channels_first("AveragePool", *_POOL),
        "QLinearGlobalAveragePool": _channels_first("GlobalAveragePool"),
        "MatMulIntegerToFloat": _matmul_integer_to_float,
        "DynamicQuantizeMatMul": _dynamic_matmul,
        "DynamicQuantizeLSTM": lambda node: lstm(node, _dynamic_lstm_products),
        "QAttention": _attention,
        "QGemm": _gemm,
    }.items()
}
