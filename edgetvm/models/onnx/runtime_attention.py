"""ONNX Runtime's own attention operators (com.microsoft)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node


def _heads(node: Node, value: Any, count: int) -> Any:
    """`[batch, length, heads * size]` as `[batch, heads, length, size]`."""
    batch, length, width = shape_of(value)
    split = node.emit.reshape(value, (batch, length, count, width // count))
    return node.emit.transpose(split, (0, 2, 1, 3))


def _joined(node: Node, value: Any) -> Any:
    """The reverse of `_heads`."""
    batch, heads, length, size = shape_of(value)
    return node.emit.reshape(
        node.emit.transpose(value, (0, 2, 1, 3)), (batch, length, heads * size)
    )


def _causal(node: Node, scores: Any) -> Any:
    """Scores of what comes after a position can never win."""
    rows, columns = shape_of(scores)[-2:]
    later = ~np.tri(rows, columns, columns - rows, dtype=bool)
    bias = np.where(later, np.finfo(dtype_of(scores)).min, 0)
    return node.emit.add(scores, node.emit.const(bias, dtype_of(scores)))


def _attend(node: Node, query: Any, key: Any, value: Any, biases: list[Any]) -> Any:
    """softmax(query @ key^T * scale + biases) @ value, over heads."""
    emit = node.emit
    scale = float(node.attributes.get("scale", 0.0)) or 1 / math.sqrt(shape_of(query)[-1])
    scores = emit.matmul(query, emit.transpose(key, (0, 1, 3, 2)))
    scores = emit.multiply(scores, emit.like(scale, scores))
    for bias in biases:
        scores = emit.add(scores, bias)
    if node.attributes.get("unidirectional", 0):
        scores = _causal(node, scores)
    return _joined(node, emit.matmul(emit.emit(emit.operator("nn.softmax")(scores, -1)), value))


def _mask(node: Node, index: int, batch: int, total: int, dtype: str) -> list[Any]:
    """A bias from lengths `[batch]`, or 1 and 0 for `[batch, (length,) total]` positions."""
    if not node.has(index):
        return []
    emit, mask = node.emit, node.inputs[index]
    shape = shape_of(mask)
    if shape == (batch,):
        places = emit.const(np.arange(total)[None, :], dtype_of(mask))
        mask = emit.less(places, emit.reshape(mask, (batch, 1)))
        shape = (batch, total)
    if shape[0] != batch or shape[-1] != total or len(shape) not in (2, 3):
        raise node.refusal(f"a mask of shape {list(shape)}")
    middle = shape[1] if len(shape) == 3 else 1
    shown = emit.cast(emit.reshape(mask, (batch, 1, middle, total)), "bool")
    hidden = float(node.attributes.get("mask_filter_value", -10000.0))
    chosen = emit.where(shown, emit.const(0, dtype), emit.const(hidden, dtype))
    return [chosen]


def _refuse(node: Node, what: str, *attributes: str) -> None:
    if any(node.attributes.get(name, 0) for name in attributes):
        raise node.refusal(what)


def _attention(node: Node) -> list[Any]:
    """Input projected to query, key and value by one product; then attention."""
    if node.has(6):
        raise node.refusal("its past lies in a shared buffer")
    projected = node.emit.matmul(*node.inputs[:2])
    if node.has(2):
        projected = node.emit.add(projected, node.inputs[2])
    return attention_of(node, projected, 3, 4, [node.inputs[5]] if node.has(5) else [])


def attention_of(
    node: Node, projected: Any, mask: int, past: int, biases: Sequence[Any] = ()
) -> list[Any]:
    """Attention of query, key and value, side by side; `mask` and `past` are inputs' positions."""
    emit = node.emit
    _refuse(node, "it rotates positions inside", "do_rotary")
    heads = int(node.attributes["num_heads"])
    width = shape_of(projected)[-1]
    sizes = [int(size) for size in node.attributes.get("qkv_hidden_sizes") or [width // 3] * 3]
    ends = np.cumsum(sizes)
    query, key, value = (
        _heads(node, emit.slice(projected, 2, int(end) - size, int(end)), heads)
        for end, size in zip(ends, sizes, strict=True)
    )
    if node.has(past):
        before = [emit.squeeze(one, 0) for one in emit.split(node.inputs[past], 2, 0)]
        key, value = emit.concat([before[0], key], 2), emit.concat([before[1], value], 2)
    batch, total = shape_of(key)[0], shape_of(key)[2]
    masked = _mask(node, mask, batch, total, dtype_of(projected))
    result = _attend(node, query, key, value, [*masked, *biases])
    if not node.wants(1):
        return [result]
    present = emit.concat([emit.unsqueeze(one, 0) for one in (key, value)], 0)
    return [result, present]


def _multi_head_attention(node: Node) -> list[Any]:
    """Query, key and value given apart; key and value may come with their heads split already."""
    emit = node.emit
    heads = int(node.attributes["num_heads"])
    if not (node.has(1) and node.has(2)) or rank_of(node.inputs[0]) != 3:
        raise node.refusal("its query, key and value are packed into one tensor")
    parts = list(node.inputs[:3])
    if node.has(3):
        begin = 0
        for index, part in enumerate(parts):
            width = (
                shape_of(part)[-1] if rank_of(part) == 3 else shape_of(part)[1] * shape_of(part)[3]
            )
            if rank_of(part) == 3:
                bias = emit.slice(node.inputs[3], 0, begin, begin + width)
                parts[index] = emit.add(part, bias)
            begin += width
    query, key, value = (
        _heads(node, part, heads) if rank_of(part) == 3 else part for part in parts
    )
    if node.has(6) and node.has(7):
        key, value = emit.concat([node.inputs[6], key], 2), emit.concat([node.inputs[7], value], 2)
    biases = _mask(node, 4, shape_of(key)[0], shape_of(key)[2], dtype_of(query))
    biases += [node.inputs[5]] if node.has(5) else []
    return [_attend(node, query, key, value, biases), key, value][: max(1, node.output_count)]


def _rotary_embedding(node: Node) -> Any:
    """Pairs of features turned by angles that grow with the position."""
    emit, data = node.emit, node.inputs[0]
    positions, cosines, sines = node.inputs[1:4]
    half = shape_of(cosines)[1]
    flat = rank_of(data) == 3
    if flat:
        size = int(node.attributes.get("rotary_embedding_dim", 0))
        count = int(node.attributes.get("num_heads", 0)) if size else 0
        count = count or shape_of(data)[2] // (2 * half)
        data = _heads(node, data, count)
    batch, _, length, size = shape_of(data)
    if shape_of(positions) == (1,):
        steps = emit.const(np.arange(length)[None, :], dtype_of(positions))
        positions = emit.broadcast(emit.add(steps, positions), (batch, length))
    cos, sin = (
        emit.unsqueeze(node.apply("Gather", table, positions, axis=0), 1)
        for table in (cosines, sines)
    )
    turned, rest = emit.slice(data, 3, 0, 2 * half), emit.slice(data, 3, 2 * half, size)
    interleaved = bool(node.attributes.get("interleaved", 0))
    order = np.arange(2 * half).reshape(half, 2).T.ravel()
    if interleaved:
        turned = emit.take(turned, order, 3)
    a, b = emit.split(turned, 2, 3)
    new = emit.concat(
        [
            emit.subtract(emit.multiply(a, cos), emit.multiply(b, sin)),
            emit.add(emit.multiply(b, cos), emit.multiply(a, sin)),
        ],
        3,
    )
    if interleaved:
        new = emit.take(new, np.argsort(order), 3)
    if size > 2 * half:
        new = emit.concat([new, rest], 3)
    return _joined(node, new) if flat else new


RUNTIME_ATTENTION: dict[str, Converter] = {
    "com.microsoft.Attention": _attention,
    "com.microsoft.MultiHeadAttention": _multi_head_attention,
    "com.microsoft.RotaryEmbedding": _rotary_embedding,
}
