"""Sums, means and extremes along axes; where the extreme is; running sums; the largest k."""

from __future__ import annotations

import numpy as np

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, is_constant, shape_of
from edgetvm.models.tflite.rules import Lower, Node, Refusal, Results, itself, rule

_REDUCTIONS = {
    "SUM": "sum",
    "MEAN": "mean",
    "REDUCE_PROD": "prod",
    "REDUCE_MAX": "max",
    "REDUCE_MIN": "min",
}


def _axes(node: Node) -> list[int]:
    numbers = node.integers(1, "an axis")
    return sorted({node.axis(int(number)) for number in numbers})


def _reduction(operator: str) -> Lower:
    def lower(node: Node) -> Value:
        keep = bool(node.options("ReducerOptions").KeepDims())
        axes = _axes(node)
        if not axes:
            return node.value(0)
        return node.emit.reduce(operator, node.value(0), axes, keep)

    return lower


def _extreme(operator: str) -> Lower:
    def quantised(node: Node) -> Value:
        result = _reduction(operator)(node)
        return q.requantise(
            node.emit, result, node.scales(0), node.result_scales, node.result.dtype
        )

    return quantised


def _total(mean: bool) -> Lower:
    def quantised(node: Node) -> Results:
        """The sum of the integers, rescaled once."""
        if node.result.scales is None or dtype_of(node.value(0)) not in ("int8", "uint8"):
            return NotImplemented
        axes = _axes(node)
        if not axes:
            return NotImplemented
        keep = bool(node.options("ReducerOptions").KeepDims())
        emit = node.emit
        inputs, outputs = node.scales(0), node.result_scales
        count = int(np.prod([node.shape(0)[axis] for axis in axes]))
        total = emit.reduce("sum", emit.cast(node.value(0), "int32"), axes, keep)
        centred = emit("subtract", total, count * int(inputs.zero_point[0]))
        factor = inputs.scale[0] / outputs.scale[0]
        factor = np.float32(factor / np.float32(count)) if mean else factor
        return q.rescale(emit, centred, np.asarray(factor, np.float32), outputs, node.result.dtype)

    return quantised


_INSTEAD: dict[str, Lower] = {
    "SUM": _total(mean=False),
    "MEAN": _total(mean=True),
    "REDUCE_MAX": _extreme("max"),
    "REDUCE_MIN": _extreme("min"),
}
for _name, _operator in _REDUCTIONS.items():
    rule(_name, instead=_INSTEAD.get(_name))(_reduction(_operator))


@rule("REDUCE_ANY", "REDUCE_ALL")
def reduce_truth(node: Node) -> Value:
    """Whether any, or all, hold."""
    operator = "max" if node.operator.name == "REDUCE_ANY" else "min"
    keep = bool(node.options("ReducerOptions").KeepDims())
    number = node.emit.cast(node.value(0), "int8")
    return node.emit.cast(node.emit.reduce(operator, number, _axes(node), keep), "bool")


@rule("ARG_MAX", "ARG_MIN", quantised=itself)
def arg_extreme(node: Node) -> Value:
    """The first index of the largest or smallest element."""
    from tvm import relax

    axis = node.axis(node.integer(1, "an axis"))
    value = node.value(0)
    largest = node.operator.name == "ARG_MAX"
    if is_constant(value):
        index = (np.argmax if largest else np.argmin)(value, axis)
        return np.asarray(index).astype(node.result.dtype)
    make = relax.op.argmax if largest else relax.op.argmin
    return node.emit.cast(node.emit.emit(make(value, axis)), node.result.dtype)


@rule("CUMSUM")
def cumsum(node: Node) -> Value:
    """Running sums along an axis: the product with a triangle of ones."""
    options = node.options("CumsumOptions")
    emit, x = node.emit, node.value(0)
    axis = node.axis(node.integer(1, "an axis"))
    rank, size = len(node.shape(0)), node.shape(0)[axis]
    emit.budget.constant((size, size), "float64")
    triangle = np.tri(size, k=-1 if options.Exclusive() else 0)
    triangle = triangle if options.Reverse() else triangle.T
    order = [other for other in range(rank) if other != axis] + [axis]
    last = emit.transpose(x, order)
    flat = emit.reshape(last, (-1, size))
    sums = emit.matmul(flat, triangle.astype(dtype_of(x)), dtype_of(x))
    return emit.transpose(emit.reshape(sums, shape_of(last)), np.argsort(order).tolist())


@rule("TOPK_V2", quantised=itself)
def topk_v2(node: Node) -> list[Value]:
    """The k largest of the last axis, and where they are."""
    from tvm import relax

    k = node.integer(1, "a k")
    if not 0 < k <= node.shape(0)[-1]:
        raise ValueError(f"the {k} largest of {node.shape(0)[-1]}")
    if is_constant(node.value(0)):
        raise Refusal("of a constant")
    pair = relax.op.topk(node.value(0), k, -1, "both", True, "int32")
    both = node.emit.emit(pair)
    return [node.emit.emit(relax.TupleGetItem(both, index)) for index in (0, 1)]
