"""Elements that are read or written by their index, and sums over those that share one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Emitter, Value, dtype_of, shape_of
from edgetvm.models.tflite.rules import Lower, Node, Refusal, itself, moved, rule


@rule("GATHER", "EMBEDDING_LOOKUP", quantised=itself)
def gather(node: Node) -> Value:
    """By indices along one axis."""
    emit = node.emit
    if node.operator.name == "EMBEDDING_LOOKUP":
        return _looked_up(node)
    options = node.options("GatherOptions")
    value, indices = node.value(0), node.value(1)
    shape, places = node.shape(0), node.shape(1)
    axis = node.axis(options.Axis())
    batch = options.BatchDims() % max(len(places), 1) if options.BatchDims() else 0
    if not batch:
        return emit.take(value, indices, axis, within=False)
    # Batches lie one after the other: each has its own range of indices.
    if batch > axis or shape[:batch] != places[:batch]:
        raise ValueError("batches that differ")
    if axis != batch:
        raise Refusal("in batches, behind other axes")
    count = int(np.prod(shape[:batch]))
    starts = emit.indices(count, dtype_of(indices)) * shape[axis]
    offset = emit("add", emit.reshape(indices, (count, -1)), starts[:, None])
    flat = emit.take(emit.reshape(value, (-1, *shape[axis + 1 :])), offset, 0, within=False)
    return emit.reshape(flat, (*places, *shape[axis + 1 :]))


def _looked_up(node: Node) -> Value:
    table, indices = node.value(1), node.value(0)
    found = node.emit.take(table, indices, 0, within=False)
    tensor = node.tensors[1]
    if tensor is None or tensor.scales is None or node.result.scales is not None:
        return found
    return q.dequantise(node.emit, found, tensor.scales)


@rule("GATHER_ND", quantised=moved)
def gather_nd(node: Node) -> Value:
    """By indices along the first axes: by one index over these axes made one."""
    emit = node.emit
    shape, places = node.shape(0), node.shape(1)
    depth = places[-1]
    if not 0 < depth <= len(shape):
        raise ValueError(f"{depth} indices into rank {len(shape)}")
    weights = np.array(_steps(shape, depth)).astype(dtype_of(node.value(1)))
    parts = emit("multiply", node.value(1), weights)
    index = emit.reduce("sum", parts, (len(places) - 1,), keep=False)
    flat = emit.reshape(node.value(0), (-1, *shape[depth:]))
    return emit.take(flat, index, 0, within=False)


def _steps(shape: tuple[int, ...], depth: int) -> list[int]:
    """How far apart neighbours along each of the first `depth` axes lie."""
    return [math.prod(shape[at + 1 : depth]) for at in range(depth)]


@rule("SCATTER_ND", quantised=itself)
def scatter_nd(node: Node) -> Value:
    """Into zeros, by indices along the first axes; what meets in one place is added up."""
    from tvm import relax

    emit = node.emit
    indices, updates = node.value(0), node.value(1)
    shape = tuple(node.integers(2, "a shape"))
    depth = shape_of(indices)[-1]
    if not 0 < depth <= len(shape) or min(shape) < 1:
        raise ValueError(f"{depth} indices into {list(shape)}")
    rows, inner = math.prod(shape[:depth]), math.prod(shape[depth:])
    # What lies outside goes to one row more, which is cut off again.
    limits = np.array(shape[:depth], dtype_of(indices))
    inside = emit("logical_and", emit("greater_equal", indices, 0), emit("less", indices, limits))
    last = (len(shape_of(indices)) - 1,)
    every = emit.reduce("min", emit.cast(inside, "int32"), last, keep=False)
    parts = emit("multiply", indices, np.array(_steps(shape, depth), dtype_of(indices)))
    places = emit.reduce("sum", parts, last, keep=False)
    places = emit.where(emit("greater", every, 0), places, np.array(rows, dtype_of(indices)))
    places = emit.cast(emit.reshape(places, (-1, 1)), "int64")
    values = emit.reshape(updates, (-1, inner))
    zeros = emit.full((rows + 1, inner), 0, dtype_of(updates))
    filled = emit.relax(
        lambda data, at, new: relax.op.scatter_nd(data, at, new, "add"), zeros, places, values
    )
    return emit.reshape(emit.slice(filled, 0, 0, rows), shape)


@rule("DYNAMIC_UPDATE_SLICE", quantised=moved)
def dynamic_update_slice(node: Node) -> Value:
    """A part of a tensor replaced by another, from indices on that are moved to where it fits."""
    emit = node.emit
    whole, part, begins = node.value(0), node.value(1), node.value(2)
    shape = shape_of(whole)
    covered: Value = np.ones((1,) * len(shape), "bool")
    for axis, size in enumerate(shape):
        length = shape_of(part)[axis]
        if length == size:
            continue
        begin = emit.reshape(emit.slice(begins, 0, axis, axis + 1), ())
        begin = emit.clip(emit.cast(begin, "int32"), 0, size - length)
        offset = emit("subtract", emit.indices(size), begin)
        part = emit.take(part, emit.clip(offset, 0, length - 1), axis)
        here = emit("logical_and", emit("greater_equal", offset, 0), emit("less", offset, length))
        along = [-1 if at == axis else 1 for at in range(len(shape))]
        covered = emit("logical_and", covered, emit.reshape(here, along))
    return emit.where(covered, part, whole)


@rule("REVERSE_SEQUENCE", quantised=moved)
def reverse_sequence(node: Node) -> Value:
    """The first elements of each sequence back to front, as many as each says."""
    options, emit = node.options("ReverseSequenceOptions"), node.emit
    axis, batch = node.axis(options.SeqDim()), node.axis(options.BatchDim())
    rank = len(node.shape(0))
    order = [batch, axis, *(at for at in range(rank) if at not in (axis, batch))]
    value = emit.transpose(node.value(0), order)
    count, size, *rest = shape_of(value)
    places = emit.indices(size)
    lengths = emit.reshape(emit.cast(node.value(1), "int32"), (count, 1))
    turned = emit("subtract", emit("subtract", lengths, 1), places)
    index = emit.where(emit("less", places, lengths), turned, places)
    flat = emit("add", index, (emit.indices(count) * size)[:, None])
    found = emit.take(emit.reshape(value, (count * size, *rest)), flat, 0, within=False)
    return emit.transpose(found, np.argsort(order).tolist())


def _diagonal(node: Node, size: int) -> NDArray[np.bool_]:
    node.emit.budget.constant((size, size), "bool")
    return np.eye(size, dtype=np.bool_)


@rule("MATRIX_DIAG", quantised=moved)
def matrix_diag(node: Node) -> Value:
    """Matrices with these diagonals."""
    shape = node.shape(0)
    if not shape:
        raise ValueError("a diagonal without axes")
    *batch, size = shape
    rows = node.emit.reshape(node.value(0), (*batch, 1, size))
    zero = np.zeros((), dtype_of(rows))
    return node.emit.where(_diagonal(node, size), rows, zero)


@rule("MATRIX_SET_DIAG", quantised=moved)
def matrix_set_diag(node: Node) -> Value:
    """Matrices with other diagonals."""
    shape = node.shape(0)
    if len(shape) < 2:
        raise ValueError("no matrices")
    *batch, height, width = shape
    if node.shape(1) != (*batch, min(height, width)):
        raise ValueError("diagonals of another length")
    gap = [(0, 0)] * len(batch) + [(0, height - min(height, width))]
    columns = node.emit.reshape(node.emit.pad(node.value(1), gap, 0), (*batch, height, 1))
    diagonal = _diagonal(node, max(height, width))[:height, :width]
    return node.emit.where(diagonal, columns, node.value(0))


@rule("WHERE", quantised=itself)
def where(node: Node) -> Value:
    """The indices of what holds."""
    condition = node.constant(0, "a condition")
    node.emit.budget.constant((condition.size, condition.ndim), "int64")
    return np.argwhere(condition).astype(np.int64)


@rule("SEGMENT_SUM")
def segment_sum(node: Node) -> Value:
    """Sums over rows that share a number, numbers in order."""
    numbers = node.constant(1, "a segment")
    count = int(numbers[-1]) + 1 if numbers.size else 0
    if numbers.ndim != 1 or count < 1:
        raise ValueError("segments without numbers")
    return _segment_sums(node, numbers, count)


def _matches(emit: Emitter, numbers: Value, count: int) -> Value:
    """For each segment and each row, whether they belong together."""
    size = math.prod(shape_of(numbers))
    every = emit.indices(count)[:, None]
    return emit("equal", emit.reshape(emit.cast(numbers, "int32"), (1, size)), every)


def _segment_sums(node: Node, numbers: Value, count: int) -> Value:
    emit, value = node.emit, node.value(0)
    dtype, rank = dtype_of(value), len(shape_of(numbers))
    rows = emit.reshape(value, (math.prod(shape_of(numbers)), -1))
    emit.budget.constant((count, shape_of(rows)[0]), dtype)
    sums = emit.matmul(emit.cast(_matches(emit, numbers, count), dtype), rows, dtype)
    return emit.reshape(sums, (count, *node.shape(0)[rank:]))


def _segments(reduction: str) -> Lower:
    def lower(node: Node) -> Value:
        emit, value, numbers = node.emit, node.value(0), node.value(1)
        count = node.integer(2, "a count")
        dtype, rank = np.dtype(dtype_of(value)), len(shape_of(numbers))
        if not 0 < count < 1 << 24:
            raise ValueError(f"{count} segments")
        if reduction == "sum":
            return _segment_sums(node, numbers, count)
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        neutral = {"max": limits.min, "min": limits.max, "prod": 1}[reduction]
        size = math.prod(shape_of(numbers))
        matches = emit.reshape(_matches(emit, numbers, count), (count, size, 1))
        rows = emit.reshape(value, (1, size, -1))
        chosen = emit.where(matches, rows, np.array(neutral, dtype))
        result = emit.reduce(reduction, chosen, (1,), keep=False)
        return emit.reshape(result, (count, *node.shape(0)[rank:]))

    return lower


for _reduction in ("sum", "max", "min", "prod"):
    rule(f"UNSORTED_SEGMENT_{_reduction.upper()}")(_segments(_reduction))


@rule("BUCKETIZE", quantised=itself)
def bucketize(node: Node) -> Value:
    """How many of the rising boundaries each element has reached."""
    options, emit = node.options("BucketizeOptions"), node.emit
    if options.BoundariesIsNone():
        raise ValueError("without boundaries")
    boundaries = options.BoundariesAsNumpy().astype(dtype_of(node.value(0)))
    value = emit.reshape(node.value(0), (*node.shape(0), 1))
    reached = emit.cast(emit("greater_equal", value, boundaries), "int32")
    return emit.reduce("sum", reached, (len(node.shape(0)),), keep=False)
