"""Operators that select, put and sort elements."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.making import broadcast
from edgetvm.models.relay.shapes import concatenate


def sliced(builder: Builder, value: Any, parts: dict[int, tuple[int, int, int]]) -> Any:
    """A part of each listed axis, as Python's range of begin, end and step."""
    shape = builder.shape(value)
    parts = {axis: part for axis, part in parts.items() if part != (0, shape[axis], 1)}
    if not parts:
        return value
    array = builder.small(value)
    if array is not None:
        for axis, (begin, end, step) in parts.items():
            array = array.take(range(begin, end, step), axis)
        return builder.const(array, builder.dtype(value))
    for axis, (begin, end, step) in list(parts.items()):
        if step < 0:
            value = builder.take(value, range(begin, end, step), axis)
            del parts[axis]
    if not parts:
        return value
    begins, ends, steps = (list(column) for column in zip(*parts.values(), strict=True))
    ends = [max(begin, end) for begin, end in zip(begins, ends, strict=True)]
    return builder.emit(builder.op.strided_slice(value, list(parts), begins, ends, steps))


def split(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Equal parts, or parts at indices: a tuple."""
    value = arguments[0]
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(value))
    size = builder.shape(value)[axis]
    where = attributes.get("indices_or_sections")
    if isinstance(where, int):
        if not 0 < where <= max(size, 1) or size % where:
            raise malformed(f"an axis of {size} in {where} equal parts")
        builder.check_length(where)
        bounds = list(range(0, size + 1, size // where))
    else:
        bounds = [0, *attributes.integers("indices_or_sections"), size]
    if sorted(bounds) != bounds:
        raise malformed(f"an axis of {size} split at {bounds[1:-1]}")
    parts = []
    for begin, end in pairwise(bounds):
        parts.append(sliced(builder, value, {axis: (begin, end, 1)}))
    return tuple(parts)


def strided_slice(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """numpy's slices; in mode `size`, ends are lengths, and -1 is all that is left."""
    value = arguments[0]
    shape = builder.shape(value)
    begins, ends = attributes.integers("begin"), attributes.integers("end")
    strides = attributes.integers("strides", [1]) or [1]
    if "axes" in attributes:
        axes = [builder.axis(axis, len(shape)) for axis in attributes.integers("axes")]
    else:
        axes = list(range(len(begins)))
    strides = strides * len(axes) if len(strides) == 1 else strides + [1] * len(axes)
    if len(axes) > len(shape) or len(begins) < len(axes) or 0 in strides:
        raise malformed(f"a slice of {len(begins)} axes of {list(shape)}")
    by_size = attributes.text("slice_mode", "end") == "size"
    parts = {}
    for number, axis in enumerate(axes):
        size, begin, step = shape[axis], begins[number], strides[number]
        end = ends[number] if number < len(ends) else (size if step > 0 else -size - 1)
        if by_size:
            begin += size * (begin < 0)
            end, step = (size if end < 0 else begin + end), 1
        parts[axis] = slice(begin, end, step).indices(size)
    return sliced(builder, value, parts)


def slice_like(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """As much of each axis as another tensor has."""
    shape, like = builder.shape(arguments[0]), builder.shape(arguments[1])
    axes = attributes.integers("axes", []) or range(min(len(shape), len(like)))
    parts = {}
    for axis in axes:
        index = builder.axis(axis, len(shape))
        parts[index] = (0, min(shape[index], like[builder.axis(axis, len(like))]), 1)
    return sliced(builder, arguments[0], parts)


def take(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Slices by index."""
    value, indices = arguments[:2]
    mode = attributes.text("mode", "clip")
    batches = attributes.integer("batch_dims", 0)
    if "axis" not in attributes:
        value, axis = builder.reshape(value, [math.prod(builder.shape(value))]), 0
    else:
        axis = builder.axis(attributes.integer("axis"), builder.rank(value))
    size = builder.shape(value)[axis]
    array: Any = builder.small(value)
    where: Any = builder.small(indices)
    if not batches and array is not None and where is not None:
        modes: dict[str, Any] = {"wrap": "wrap", "clip": "clip"}
        return builder.const(
            array.take(where, axis, mode=modes.get(mode, "clip")), array.dtype.name
        )
    if "uint" in builder.dtype(indices) or builder.dtype(indices) not in ("int32", "int64"):
        indices = builder.cast(indices, "int64")
    if mode == "wrap":
        whole = builder.const(size, builder.dtype(indices))
        indices = builder.binary("floor_mod", indices, whole)
    elif mode == "clip":
        least, most = (builder.const(bound, builder.dtype(indices)) for bound in (0, size - 1))
        indices = builder.binary("minimum", builder.binary("maximum", indices, least), most)
    if batches:
        return _taken_in_batches(builder, value, indices, axis, batches)
    return builder.emit(builder.op.take(value, indices, axis))


def _taken_in_batches(builder: Builder, value: Any, indices: Any, axis: int, batches: int) -> Any:
    """Each batch has its own indices."""
    shape, places = builder.shape(value), builder.shape(indices)
    batches += len(places) * (batches < 0)
    if not 0 <= batches <= axis or shape[:batches] != places[:batches]:
        raise malformed(f"{batches} batches of {list(shape)} taken by {list(places)}")
    first, between, last = shape[:batches], shape[batches:axis], shape[axis + 1 :]
    sizes = [math.prod(part) for part in (first, between, places[batches:], last)]
    flat = builder.reshape(value, [sizes[0], sizes[1], shape[axis], sizes[3]])
    wide = builder.reshape(indices, [sizes[0], 1, sizes[2], 1])
    wide = builder.cast(broadcast(builder, wide, sizes), "int64")
    result = builder.emit(builder.op.gather_elements(flat, wide, 2))
    return builder.reshape(result, [*first, *between, *places[batches:], *last])


def fifo_buffer(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The newest elements of a buffer and what comes after it."""
    data, buffer = arguments[:2]
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(data))
    both = concatenate(builder, ((buffer, data),), Attributes({"axis": axis}))
    size, kept = builder.shape(both)[axis], builder.shape(buffer)[axis]
    return sliced(builder, both, {axis: (size - kept, size, 1)})


def gather(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """An element for each index, along one axis."""
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(arguments[0]))
    indices = builder.cast(arguments[1], "int64")
    return builder.emit(builder.op.gather_elements(arguments[0], indices, axis))


def _indices_last(builder: Builder, indices: Any) -> Any:
    """Relay has the axis of coordinates first, Relax has it last."""
    rank = builder.rank(indices)
    return builder.cast(builder.permute(indices, [*range(1, rank), 0]), "int64")


def gather_nd(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Slices by coordinates."""
    batches = attributes.integer("batch_dims", 0)
    indices = _indices_last(builder, arguments[1])
    return builder.emit(builder.op.gather_nd(arguments[0], indices, batches))


def scatter(default: str) -> Lowering:
    """Elements put, added … at indices along one axis."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, indices, updates = arguments[:3]
        axis = builder.axis(attributes.integer("axis", 0), builder.rank(data))
        reduction = attributes.text("reduction", default)
        indices = builder.cast(indices, "int64")
        return builder.emit(builder.op.scatter_elements(data, indices, updates, axis, reduction))

    return lower


def scatter_nd(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Slices put, added … at coordinates."""
    mode = attributes.text("mode", "update")
    indices = _indices_last(builder, arguments[1])
    return builder.emit(builder.op.scatter_nd(arguments[0], indices, arguments[2], mode))


def reverse(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """One axis from its end."""
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(arguments[0]))
    size = builder.shape(arguments[0])[axis]
    return sliced(builder, arguments[0], {axis: (size - 1, -1, -1)})


def sort(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Sorted along an axis."""
    axis = builder.axis(attributes.integer("axis", -1), builder.rank(arguments[0]))
    descending = not attributes.flag("is_ascend", True)
    return builder.emit(builder.op.sort(arguments[0], axis, descending))


def argsort(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The indices that sort."""
    axis = builder.axis(attributes.integer("axis", -1), builder.rank(arguments[0]))
    descending = not attributes.flag("is_ascend", True)
    dtype = attributes.dtype("dtype", "int32")
    order = builder.emit(builder.op.argsort(arguments[0], axis, descending, "int32"))
    return builder.cast(order, dtype)


def topk(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The largest or smallest, their indices, or both."""
    value = arguments[0]
    axis = builder.axis(attributes.integer("axis", -1), builder.rank(value))
    size = builder.shape(value)[axis]
    count = attributes.integer("k", 1)
    kind = attributes.text("ret_type", "both")
    dtype = attributes.dtype("dtype", "int32")
    largest = not attributes.flag("is_ascend", False)
    both = builder.emit(
        builder.op.topk(
            value, size if count < 1 else min(count, size), axis, "both", largest, "int32"
        )
    )
    values, indices = builder.fields(both, 2)
    indices = builder.cast(indices, dtype)
    return {"values": values, "indices": indices}.get(kind, (values, indices))
