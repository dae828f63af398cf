"""Normalisations and reductions that TVM's converters get wrong."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import dtype_of, is_float, rank_of, shape_of
from edgetvm.models.onnx.node import OPEN, Converter, Node


def layer_norm(node: Node, value: Any, scale: Any, bias: Any, default: float = 1e-5) -> Any:
    """Normalised over the last axes (attribute `axis`), scaled and shifted."""
    emit = node.emit
    first = int(node.attributes.get("axis", -1)) % rank_of(value)
    axes = list(range(first - rank_of(value), 0))
    if bias is None:
        bias = emit.const(np.zeros(shape_of(scale), dtype_of(scale)))
    epsilon = float(node.attributes.get("epsilon", default))
    return emit.emit(emit.operator("nn.layer_norm")(value, scale, bias, axes, epsilon))


def layer_normalization(node: Node) -> Any:
    """With mean or deviation as outputs, ONNX's own function.

    TVM's converter begins with opset 17; ONNX Runtime had the operator in all opsets before.
    """
    if node.wants(1) or node.wants(2):
        return OPEN
    return layer_norm(node, node.inputs[0], node.inputs[1], node.input(2))


def lp_normalization(node: Node) -> Any:
    """Divided by the norm along an axis; where that is 0, 0."""
    emit, value = node.emit, node.inputs[0]
    axis = int(node.attributes.get("axis", -1)) % rank_of(value)
    total = emit.operator("sum")
    if int(node.attributes.get("p", 2)) == 1:
        norm = emit.emit(total(emit.unary("abs", value), axis, keepdims=True))
    else:
        squares = emit.emit(total(emit.multiply(value, value), axis, keepdims=True))
        norm = emit.unary("sqrt", squares)
    zero, one = emit.like(0, norm), emit.like(1, norm)
    empty = emit.equal(norm, zero)
    return emit.where(empty, emit.like(0, value), emit.divide(value, emit.where(empty, one, norm)))


def _extreme(name: str) -> Converter:
    """Largest or smallest: of booleans by way of int8, and of floats with infinities.

    TVM begins a maximum with the lowest finite number, which is larger than -inf: half of each
    number is compared, and the result doubled, which makes an infinity of that beginning alone.
    """

    def convert(node: Node) -> Any:
        emit, value = node.emit, node.inputs[0]
        dtype = dtype_of(value)
        if dtype != "bool" and not is_float(dtype):
            return None
        axes = node.integers("axes", 1)
        if not axes:
            if node.attributes.get("noop_with_empty_axes", 0):
                return value
            axes = list(range(rank_of(value)))
        keep = bool(node.attributes.get("keepdims", 1))
        if dtype == "bool":
            value = emit.cast(value, "int8")
        else:
            value = emit.multiply(value, emit.like(0.5, value))
        reduced = emit.emit(emit.operator(name)(value, axes, keepdims=keep))
        if dtype == "bool":
            return emit.cast(reduced, "bool")
        return emit.multiply(reduced, emit.like(2, reduced))

    return convert


def reduce_mean(node: Node) -> Any:
    """Of integers, in their own dtype; all else is TVM's, which would widen them."""
    emit, value = node.emit, node.inputs[0]
    if is_float(dtype_of(value)):
        return None
    axes = node.integers("axes", 1)
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        return value
    axes = [axis % rank_of(value) for axis in axes or range(rank_of(value))]
    keep = bool(node.attributes.get("keepdims", 1))
    total = emit.emit(emit.operator("sum")(value, axes, keepdims=keep))
    return emit.divide(total, emit.like(math.prod(shape_of(value)[a] for a in axes), total))


def det(node: Node) -> Any:
    """Determinant by expansion along rows, each minor computed once; for small matrices."""
    emit, value = node.emit, node.inputs[0]
    rank = rank_of(value)
    size = shape_of(value)[-1]
    if size > 8:
        raise node.refusal(f"the determinant of {size} x {size}; 8 x 8 are the most")
    cells = [
        [emit.squeeze(cell, rank - 2) for cell in emit.split(emit.squeeze(row, rank - 2), size, -1)]
        for row in emit.split(value, size, rank - 2)
    ]

    @cache
    def minor(columns: tuple[int, ...]) -> Any:
        row = cells[size - len(columns)]
        if len(columns) == 1:
            return row[columns[0]]
        total = None
        for index, column in enumerate(columns):
            term = emit.multiply(row[column], minor(columns[:index] + columns[index + 1 :]))
            if total is None:
                total = term
            else:
                total = emit.subtract(total, term) if index % 2 else emit.add(total, term)
        return total

    return minor(tuple(range(size)))


NORMALISATION: dict[str, Converter] = {
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "ReduceMax": _extreme("max"),
    "ReduceMean": reduce_mean,
    "ReduceMin": _extreme("min"),
    "Det": det,
}
