"""Products, convolutions, attention and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import Emitter, array_of, dtype_of, rank_of, shape_of
from edgetvm.models.torch.call import Call, Converter


def _product(call: Call) -> Any:
    return call.emit.matmul(call["self"], call["mat2"])


def _scaled(emit: Emitter, value: Any, factor: float) -> Any:
    return value if factor == 1 else emit.multiply(value, emit.like(factor, value))


def _sum_and_product(first: str, second: str) -> Converter:
    def convert(call: Call) -> Any:
        emit = call.emit
        product = _scaled(emit, emit.matmul(call[first], call[second]), call["alpha"])
        if call["beta"] == 0:
            return product
        return emit.add(product, _scaled(emit, call["self"], call["beta"]))

    return convert


def _matrix_vector(call: Call) -> Any:
    emit = call.emit
    column = emit.unsqueeze(call["vec"], 1)
    return emit.squeeze(emit.matmul(call["self"], column), 1)


def _trilinear(call: Call) -> Any:
    """What `nn.Bilinear` becomes: a sum over axes of a product of three broadcast tensors."""
    emit = call.emit
    values = []
    for name, axes in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        value = call[name]
        for axis in sorted(call[axes]):
            value = emit.unsqueeze(value, axis)
        values.append(value)
    product = emit.multiply(emit.multiply(values[0], values[1]), values[2])
    return emit.emit(emit.operator("sum")(product, list(call["sumdim"])))


def _spread(values: Sequence[int], count: int) -> list[int]:
    return [int(one) for one in values] * (count if len(values) == 1 else 1)


def _convolution(call: Call) -> Any:
    from tvm import relax

    emit, data, weight = call.emit, call["input"], call["weight"]
    dims = rank_of(weight) - 2
    whole = data
    if rank_of(data) == dims + 1:
        whole = emit.unsqueeze(data, 0)
    stride, padding, dilation = (
        _spread(call[name], dims) for name in ("stride", "padding", "dilation")
    )
    kind = f"conv{dims}d_transpose" if call["transposed"] else f"conv{dims}d"
    options = {
        "strides": stride,
        "padding": padding * 2,
        "dilation": dilation,
        "groups": call["groups"],
    }
    if call["transposed"]:
        options["output_padding"] = _spread(call["output_padding"], dims)
    value = emit.emit(getattr(relax.op.nn, kind)(whole, weight, **options))
    if call["bias"] is not None:
        value = emit.add(value, emit.reshape(call["bias"], (1, -1, *[1] * dims)))
    return emit.squeeze(value, 0) if rank_of(data) == dims + 1 else value


def _attention(call: Call) -> Any:
    emit = call.emit
    query, key, value, mask = (call[name] for name in ("query", "key", "value", "attn_mask"))
    if call["dropout_p"]:
        raise call.refusal("it drops values at random", "call module.eval() before exporting")
    if call.arguments.get("enable_gqa"):
        repeat = shape_of(query)[-3] // shape_of(key)[-3]
        heads = np.repeat(np.arange(shape_of(key)[-3]), repeat)
        key, value = (emit.take(one, heads, rank_of(one) - 3) for one in (key, value))
    scale = call["scale"] if call["scale"] is not None else 1 / math.sqrt(shape_of(query)[-1])
    rank = rank_of(key)
    turned = emit.transpose(key, (*range(rank - 2), rank - 1, rank - 2))
    scores = emit.matmul(_scaled(emit, query, scale), turned)
    if call["is_causal"]:
        mask = emit.const(np.tril(np.ones((shape_of(query)[-2], shape_of(key)[-2]), bool)))
    if mask is not None and dtype_of(mask) == "bool":
        lowest = float(np.finfo(dtype_of(scores)).min)
        scores = emit.where(mask, scores, emit.like(lowest, scores))
    elif mask is not None:
        scores = emit.add(scores, mask)
    weights = emit.emit(emit.operator("nn.softmax")(scores, axis=-1))
    if mask is not None and dtype_of(mask) == "bool" and _may_hide_a_row(mask):
        # A row that may look at nothing gives zeros.
        weights = emit.where(mask, weights, emit.like(0, weights))
    return emit.matmul(weights, value)


def _may_hide_a_row(mask: Any) -> bool:
    array = array_of(mask)
    return array is None or not bool(array.any(-1).all())


def _pool(call: Call, operator: str, dims: int) -> Any:
    """The whole of a pooling operator's options in Relax's words."""
    from tvm import relax

    size = _spread(call["kernel_size"], dims)
    return call.emit.emit(
        getattr(relax.op.nn, operator)(
            call["self"],
            size,
            strides=_spread(call["stride"], dims) if call["stride"] else size,
            padding=_spread(call["padding"], dims) * 2,
            ceil_mode=bool(call["ceil_mode"]),
            count_include_pad=True,
        )
    )


def _average_pool(call: Call) -> Any:
    if not call["divisor_override"]:
        return None
    dims = 2 if "2d" in call.operator else 3
    if call["ceil_mode"]:
        raise call.refusal("it has both ceil_mode and divisor_override")
    ratio = math.prod(_spread(call["kernel_size"], dims)) / call["divisor_override"]
    return _scaled(call.emit, _pool(call, f"avg_pool{dims}d", dims), ratio)


def _adaptive_max(call: Call) -> Any:
    """Rows first, then columns: the maximum of each stretch, as PyTorch divides an axis."""
    emit, value = call.emit, call["self"]
    sizes = list(call["output_size"])
    for offset, count in enumerate(reversed(sizes)):
        axis = rank_of(value) - 1 - offset
        length = shape_of(value)[axis]
        parts = []
        for index in range(count):
            begin, end = index * length // count, -(-(index + 1) * length // count)
            part = emit.slice(value, axis, begin, end)
            parts.append(emit.emit(emit.operator("max")(part, [axis], True)))
        value = emit.concat(parts, axis)
    return [value, None]


LAYERS: dict[str, Converter] = {
    "aten.mm.default": _product,
    "aten.bmm.default": _product,
    "aten.mv.default": _matrix_vector,
    "aten.addmm.default": _sum_and_product("mat1", "mat2"),
    "aten.baddbmm.default": _sum_and_product("batch1", "batch2"),
    "aten._trilinear.default": _trilinear,
    "aten.convolution.default": _convolution,
    "aten.scaled_dot_product_attention.default": _attention,
    "aten.avg_pool2d.default": _average_pool,
    "aten.avg_pool3d.default": _average_pool,
    "aten.adaptive_max_pool2d.default": _adaptive_max,
    "aten.adaptive_max_pool3d.default": _adaptive_max,
}
