"""Quantised operators, as plain integer and float arithmetic that agrees with ONNX's definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx import narrow
from edgetvm.models.onnx.convolution import convolve, window
from edgetvm.models.onnx.emitter import array_of, dtype_of, rank_of, shape_of
from edgetvm.models.onnx.narrow import carrier
from edgetvm.models.onnx.node import Converter, Node


def _along(node: Node, parameter: Any, shape: tuple[int, ...]) -> Any:
    """A scale or zero point in a shape that broadcasts with the data: one, per axis, or blocked."""
    emit = node.emit
    own = shape_of(parameter)
    if int(np.prod(own, dtype=np.int64)) == 1 and len(own) <= 1:
        return emit.reshape(parameter, ())
    axis = int(node.attributes.get("axis", 1))
    block = int(node.attributes.get("block_size", 0))
    axis %= max(1, len(shape))
    if block == 0 and len(own) == 1:
        if own[0] != shape[axis]:
            axis = 0 if own[0] == shape[0] else axis
        return emit.reshape(parameter, [own[0] if i == axis else 1 for i in range(len(shape))])
    if len(own) != len(shape):
        raise node.refusal(f"scales of shape {list(own)} for data of {list(shape)}")
    index = np.arange(shape[axis]) // block
    return emit.take(parameter, index, axis)


def _dtype(node: Node, index: int, otherwise: str) -> str:
    from onnx import helper

    given = node.attributes.get("output_dtype", 0)
    if given:
        return str(helper.tensor_dtype_to_np_dtype(given).name)
    return node.kind(index) if node.has(index) else otherwise


def saturated(node: Node, value: Any, dtype: str) -> Any:
    """Rounded (ties to even) and cast, values beyond the dtype's range at its ends."""
    emit = node.emit
    if "int" not in dtype:
        raise node.refusal(f"it quantises to {dtype}")
    bits, signed = int(dtype.lstrip("uint")), dtype.startswith("int")
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return emit.cast(emit.clip(value, float(low), float(high)), carrier(dtype))


def quantize_linear(node: Node) -> Any:
    """saturate(round(x / scale) + zero_point)."""
    emit, value = node.emit, node.inputs[0]
    shape = shape_of(value)
    dtype = _dtype(node, 2, "uint8")
    scale = _along(node, node.inputs[1], shape)
    if dtype_of(value) == "int32":
        value = emit.cast(value, "float32")
    precise = _precision(node, dtype_of(value))
    value, scale = emit.cast(value, precise), emit.cast(scale, precise)
    quotient = emit.divide(value, scale)
    if "float" in dtype:
        saturate = bool(node.attributes.get("saturate", 1))
        return node.reader.mark(narrow.narrowed(emit, quotient, dtype, saturate), dtype)
    rounded = emit.unary("round", quotient)
    if node.has(2) and not _zero(node.inputs[2]):
        zero = emit.cast(_along(node, node.inputs[2], shape), precise)
        rounded = emit.add(rounded, zero)
    return node.reader.mark(saturated(node, rounded, dtype), dtype)


def _precision(node: Node, own: str) -> str:
    from onnx import helper

    given = node.attributes.get("precision", 0)
    if given:
        return str(helper.tensor_dtype_to_np_dtype(given).name)
    # float16 cannot hold all of a 16-bit integer's values.
    return "float32" if own == "float16" else own


def _zero(value: Any) -> bool:
    array = array_of(value)
    return array is not None and not array.any()


def dequantize_linear(node: Node) -> Any:
    """(x - zero_point) * scale."""
    emit, value = node.emit, node.inputs[0]
    shape = shape_of(value)
    dtype = dtype_of(node.inputs[1])
    if "float" in node.kind(0):
        value = narrow.widened(emit, value, node.kind(0), "float32")
    elif node.has(2) and not _zero(node.inputs[2]):
        zero = _along(node, node.inputs[2], shape)
        value = emit.subtract(emit.cast(value, "int32"), emit.cast(zero, "int32"))
    scale = _along(node, node.inputs[1], shape)
    result = emit.multiply(emit.cast(value, "float32"), emit.cast(scale, "float32"))
    given = node.attributes.get("output_dtype", 0)
    if given:
        from onnx import helper

        dtype = helper.tensor_dtype_to_np_dtype(given).name
    return emit.cast(result, dtype)


def dynamic_quantize_linear(node: Node) -> list[Any]:
    """uint8 over the range that the data turns out to have, zero included."""
    return quantised_to_range(node, node.inputs[0])


def quantised_to_range(node: Node, value: Any) -> list[Any]:
    """The same of any expression: integers, their scale and zero point."""
    emit = node.emit
    zero = emit.const(np.float32(0))
    high = emit.maximum(emit.unary("max", value), zero)
    low = emit.minimum(emit.unary("min", value), zero)
    scale = emit.divide(emit.subtract(high, low), emit.const(np.float32(255)))
    # All data zero: any scale does; a division by zero does not.
    safe = emit.where(emit.equal(scale, zero), emit.const(np.float32(1)), scale)
    start = emit.unary("round", emit.divide(emit.subtract(zero, low), safe))
    point = saturated(node, start, "uint8")
    rounded = emit.unary("round", emit.divide(value, safe))
    shifted = emit.add(rounded, emit.cast(point, "float32"))
    return [saturated(node, shifted, "uint8"), scale, point]


def centred(node: Node, value: Any, zero: Any, shape: list[int] | None = None) -> Any:
    """Integers less their zero point, in the smallest dtype that holds them."""
    emit = node.emit
    if zero is None or _zero(zero):
        return value
    dtype = "int16" if dtype_of(value) in ("int8", "uint8") else "int32"
    if shape is not None and rank_of(zero) == 1 and shape_of(zero)[0] > 1:
        zero = emit.reshape(zero, shape)
    elif int(np.prod(shape_of(zero), dtype=np.int64)) == 1:
        zero = emit.reshape(zero, ())
    return emit.subtract(emit.cast(value, dtype), emit.cast(zero, dtype))


def integer_product(node: Node, a: Any, a_zero: Any, b: Any, b_zero: Any) -> Any:
    """(a - a_zero) @ (b - b_zero), summed in int32; zero points per row of a, per column of b."""
    emit = node.emit
    b = centred(node, b, b_zero)
    weights = array_of(b)
    if weights is None or weights.ndim < 2 or rank_of(a) < 2 or not _is_one_of_bytes(a, a_zero):
        a = centred(node, a, a_zero, rows_of(a, a_zero))
        return emit.matmul(emit.cast(a, "int32"), emit.cast(b, "int32"))
    sums = emit.emit(emit.operator("matmul")(a, emit.const(_narrow(weights)), "int32"))
    return _without_zero(node, sums, a_zero, weights.sum(-2, np.int32, keepdims=True))


def _is_one_of_bytes(value: Any, zero: Any) -> bool:
    """Whether a tensor is bytes, with one zero point for all of it."""
    return dtype_of(value) in ("int8", "uint8") and (
        zero is None or int(np.prod(shape_of(zero), dtype=np.int64)) == 1
    )


def _narrow(weights: Any) -> Any:
    """As int8 where they fit: boards multiply bytes faster."""
    fits = not weights.size or (weights.min() >= -128 and weights.max() <= 127)
    return weights.astype(np.int8) if fits else weights


def _without_zero(node: Node, sums: Any, zero: Any, weights: Any) -> Any:
    """Sums of bytes as they are, less what their zero point has added: the sums of the weights."""
    emit = node.emit
    if zero is None or _zero(zero):
        return sums
    one = emit.cast(emit.reshape(zero, ()), "int32")
    return emit.subtract(sums, emit.multiply(one, emit.const(weights)))


def matmul_integer(node: Node) -> Any:
    """(a - a_zero) @ (b - b_zero); zero points per row of a, per column of b."""
    return integer_product(node, node.inputs[0], node.input(2), node.inputs[1], node.input(3))


def rows_of(value: Any, zero: Any) -> list[int] | None:
    """The shape in which the zero points of a matrix's rows broadcast with it."""
    if zero is None or rank_of(value) < 2:
        return None
    return [shape_of(zero)[0] if rank_of(zero) else 1, 1]


def requantised(node: Node, total: Any, scales: tuple[Any, Any, Any], zero: Any) -> Any:
    """Integer sums in the output's own quantisation; scales broadcast with them."""
    emit = node.emit
    first, second, output = (emit.cast(scale, "float32") for scale in scales)
    factor = emit.divide(emit.multiply(first, second), output)
    value = emit.unary("round", emit.multiply(emit.cast(total, "float32"), factor))
    dtype = dtype_of(zero)
    if not _zero(zero):
        point = (
            emit.reshape(zero, ()) if rank_of(zero) <= 1 and shape_of(zero) in ((), (1,)) else zero
        )
        value = emit.add(value, emit.cast(point, "float32"))
    return saturated(node, value, dtype)


def qlinear_matmul(node: Node) -> Any:
    """The product of two quantised matrices, quantised."""
    emit = node.emit
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.inputs
    if rank_of(a_scale) == 1 and shape_of(a_scale)[0] > 1:
        a_scale = emit.reshape(a_scale, (shape_of(a_scale)[0], 1))
    total = integer_product(node, a, a_zero, b, b_zero)
    scales = tuple(
        emit.reshape(scale, ()) if shape_of(scale) == (1,) else scale
        for scale in (a_scale, b_scale, y_scale)
    )
    return requantised(node, total, scales, y_zero)


def integer_sums(node: Node, x: Any, x_zero: Any, w: Any, w_zero: Any) -> Any:
    """Convolution of integers less their zero points, summed in int32."""
    rank = rank_of(w)
    w = centred(node, w, w_zero, [-1, *[1] * (rank - 1)])
    weights = array_of(w)
    if weights is None or not _is_one_of_bytes(x, x_zero):
        x = centred(node, x, x_zero)
        return convolve(node, node.emit.cast(x, "int32"), node.emit.cast(w, "int32"), "int32")
    x, whole = _bordered(node, x, x_zero, list(weights.shape[2:]))
    sums = convolve(node, x, node.emit.const(_narrow(weights)), "int32", whole)
    per_feature = weights.sum(tuple(range(1, rank)), np.int32).reshape(-1, *[1] * (rank - 2))
    return _without_zero(node, sums, x_zero, per_feature)


def _bordered(node: Node, value: Any, zero: Any, kernel: list[int]) -> tuple[Any, bool]:
    """The data with a border of their zero point, if that is not 0; and whether they have it."""
    emit, shape = node.emit, shape_of(value)
    _, _, padding = window(node, shape[2:], kernel)
    if zero is None or _zero(zero) or not any(padding):
        return value, False
    axes = len(kernel)
    pairs = [(0, 0), (0, 0), *zip(padding[:axes], padding[axes:], strict=True)]
    widths = [width for pair in pairs for width in pair]
    constant = array_of(zero)
    fill = 0.0 if constant is None else float(constant.reshape(-1)[0])
    made = emit.emit(emit.operator("nn.pad")(value, widths, "constant", fill))
    if constant is None:
        border = np.pad(np.zeros((1, 1, *shape[2:]), dtype_of(value)), pairs, constant_values=1)
        made = emit.add(made, emit.multiply(emit.const(border), emit.reshape(zero, ())))
    return made, True


def conv_integer(node: Node) -> Any:
    """Convolution of integers less their zero points, summed in int32."""
    return integer_sums(node, node.inputs[0], node.input(2), node.inputs[1], node.input(3))


def qlinear_conv(node: Node) -> Any:
    """A quantised convolution: weights per tensor or per output channel."""
    emit = node.emit
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = node.inputs[:8]
    rank = rank_of(w)
    total = integer_sums(node, x, x_zero, w, w_zero)
    column = [1, shape_of(w)[0], *[1] * (rank - 2)]
    if node.has(8):
        total = emit.add(total, emit.reshape(node.inputs[8], column))
    if shape_of(w_scale) not in ((), (1,)):
        w_scale = emit.reshape(w_scale, column)
    scales = tuple(
        emit.reshape(scale, ()) if shape_of(scale) == (1,) else scale
        for scale in (x_scale, w_scale, y_scale)
    )
    return requantised(node, total, scales, y_zero)


QUANTISED: dict[str, Converter] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
}
