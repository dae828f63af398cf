"""Operators that move, select and make elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import MOST_ELEMENTS, Attributes, Builder, Value
from edgetvm.models.relay.elementwise import Lowering


def fields_of(value: Value) -> tuple[Value, ...]:
    """The fields of a tuple argument.

    Raises:
        ModelUnreadableError: it is a tensor.
    """
    if not isinstance(value, tuple) or not value:
        raise malformed("a tensor or an empty tuple where a tuple of tensors should be")
    return value


# Shapes.


def new_shape(old: Sequence[int], wanted: Sequence[int], allow_zero: bool = False) -> list[int]:
    """Relay's shape language: 0 keeps, -1 infers, -2 keeps the rest, -3 merges two, -4 splits one.

    Raises:
        ModelUnreadableError: it cannot be.
    """
    made: list[int] = []
    source = 0
    inferred: int | None = None
    refusal = malformed(f"{list(old)} cannot be reshaped to {list(wanted)}")
    position = 0
    while position < len(wanted):
        size = wanted[position]
        position += 1
        if size > 0 or (size == 0 and allow_zero):
            made.append(size)
            source += 1
        elif size == -1:
            if inferred is not None:
                raise refusal
            inferred = len(made)
            made.append(1)
            source += 1
        elif size == -2:
            made += old[source:]
            source = len(old)
        elif source >= len(old) or size < -4:
            raise refusal
        elif size == 0:
            made.append(old[source])
            source += 1
        elif size == -3:
            if source + 1 >= len(old):
                raise refusal
            made.append(old[source] * old[source + 1])
            source += 2
        else:
            parts = list(wanted[position : position + 2])
            position += 2
            if len(parts) < 2 or min(parts) < -1 or 0 in parts or parts == [-1, -1]:
                raise refusal
            whole = old[source]
            source += 1
            made += [whole // -math.prod(parts) if part == -1 else part for part in parts]
    total = math.prod(old)
    if inferred is not None:
        others = math.prod(made)
        made[inferred] = total // others if others else 0
    if math.prod(made) != total:
        raise refusal
    return made


def reshape(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Another shape; the second argument of `dyn.reshape` is the attribute."""
    value = arguments[0]
    wanted = attributes.integers("newshape")
    old = builder.shape(value)
    if attributes.flag("reverse"):
        made = new_shape(old[::-1], _reversed_codes(wanted))[::-1]
    else:
        made = new_shape(old, wanted, attributes.flag("allowzero"))
    return builder.reshape(value, made)


def reverse_reshape(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """The same, with the codes read from the right."""
    wanted = _reversed_codes(attributes.integers("newshape"))
    made = new_shape(builder.shape(arguments[0])[::-1], wanted)
    return builder.reshape(arguments[0], made[::-1])


def _reversed_codes(wanted: Sequence[int]) -> list[int]:
    if -4 in wanted:
        raise malformed("a reshape from the right that splits an axis")
    return list(wanted[::-1])


def reshape_like(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The shape, or a part of the shape, of another tensor."""
    old, other = builder.shape(arguments[0]), builder.shape(arguments[1])

    def part(side: str, rank: int) -> tuple[int, int]:
        begin, end = attributes.integer(f"{side}_begin", 0), attributes.get(f"{side}_end")
        end = rank if end is None else attributes.integer(f"{side}_end")
        return begin + rank * (begin < 0), end + rank * (end < 0)

    begin, end = part("lhs", len(old))
    first, last = part("rhs", len(other))
    return builder.reshape(arguments[0], [*old[:begin], *other[first:last], *old[end:]])


def expand_dims(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """New axes of size 1."""
    shape = list(builder.shape(arguments[0]))
    axis = builder.axis(attributes.integer("axis"), len(shape) + 1)
    count = attributes.integer("num_newaxis", 1)
    if not 0 <= count <= 32:
        raise malformed(f"{count} new axes")
    return builder.reshape(arguments[0], shape[:axis] + [1] * count + shape[axis:])


def squeeze(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Fewer axes of size 1."""
    shape = builder.shape(arguments[0])
    if "axis" in attributes:
        gone = [builder.axis(axis, len(shape)) for axis in attributes.integers("axis")]
    else:
        gone = [axis for axis, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in gone):
        raise malformed(f"axes {gone} of {list(shape)} cannot be squeezed")
    return builder.reshape(arguments[0], [s for i, s in enumerate(shape) if i not in gone])


def batch_flatten(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """All but the first axis in one."""
    shape = builder.shape(arguments[0])
    return builder.reshape(arguments[0], [shape[0], math.prod(shape[1:])])


def transpose(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Axes in another order; reversed without one."""
    rank = builder.rank(arguments[0])
    axes = [builder.axis(axis, rank) for axis in attributes.integers("axes", [])]
    axes = axes or list(range(rank))[::-1]
    if sorted(axes) != list(range(rank)):
        raise malformed(f"{axes} is no order of {rank} axes")
    return builder.permute(arguments[0], axes)


def layout_transform(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """From one layout to another."""
    source, target = attributes.text("src_layout"), attributes.text("dst_layout")
    return relayout(builder, arguments[0], source, target)


def _layout(text: str) -> list[tuple[str, int]]:
    """Axes with their split size: `NCHW4c` is N, C, H, W and c of 4. 0 for an axis of any size."""
    axes: list[tuple[str, int]] = []
    digits = ""
    for letter in text:
        if letter.isdigit():
            digits += letter
        else:
            axes.append((letter, int(digits) if digits else 0))
            digits = ""
    return axes


def relayout(builder: Builder, value: Any, source: str, target: str) -> Any:
    """A tensor in another layout; split axes are joined, ordered and split again."""
    if source == target:
        return value
    axes, wanted = _layout(source), _layout(target)
    shape = builder.shape(value)
    primal = [letter for letter, size in axes if not size]
    names = [letter for letter, _ in axes]
    if len(axes) != len(shape) or sorted(primal) != sorted(l for l, size in wanted if not size):
        raise malformed(f"{source} cannot be laid out as {target}")
    # Join: each split axis goes right after its own.
    order: list[int] = []
    joined: dict[str, int] = {}
    for letter in primal:
        parts = [i for i, name in enumerate(names) if name.upper() == letter]
        parts.sort(key=lambda i: names[i] != letter)
        order += parts
        joined[letter] = math.prod(shape[i] for i in parts)
    value = builder.permute(value, order)
    value = builder.reshape(value, list(joined.values()))
    # Split and order.
    sizes: list[int] = []
    labels: list[str] = []
    for letter in primal:
        factors = [(name, size) for name, size in wanted if size and name.upper() == letter]
        whole = joined[letter]
        for _, size in factors:
            if not size or whole % size:
                raise malformed(f"{source} cannot be laid out as {target}")
            whole //= size
        sizes += [whole, *(size for _, size in factors)]
        labels += [letter, *(name for name, _ in factors)]
    value = builder.reshape(value, sizes)
    return builder.permute(value, [labels.index(name) for name, _ in wanted])


# Joining and splitting.


def concatenate(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Tensors one after the other."""
    values = fields_of(arguments[0])
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(values[0]))
    arrays = [builder.small(value) for value in values]
    if all(array is not None for array in arrays):
        array = np.concatenate(arrays, axis)  # type: ignore[arg-type]
        return builder.const(array, array.dtype.name)
    return builder.emit(builder.op.concat(list(values), axis)) if len(values) > 1 else values[0]


def stack(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Tensors side by side on a new axis."""
    values = fields_of(arguments[0])
    rank = builder.rank(values[0])
    axis = builder.axis(attributes.integer("axis", 0), rank + 1)
    widened = []
    for value in values:
        shape = builder.shape(value)
        widened.append(builder.reshape(value, [*shape[:axis], 1, *shape[axis:]]))
    return concatenate(builder, (tuple(widened),), Attributes({"axis": axis}))


def split(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Equal parts, or parts at indices: a tuple."""
    value = arguments[0]
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(value))
    size = builder.shape(value)[axis]
    where = attributes.get("indices_or_sections")
    if isinstance(where, int):
        if not 0 < where <= max(size, 1) or size % where:
            raise malformed(f"an axis of {size} in {where} equal parts")
        bounds = list(range(0, size + 1, size // where))
    else:
        bounds = [0, *attributes.integers("indices_or_sections"), size]
    if sorted(bounds) != bounds:
        raise malformed(f"an axis of {size} split at {bounds[1:-1]}")
    parts = []
    for begin, end in zip(bounds, bounds[1:], strict=False):
        parts.append(sliced(builder, value, {axis: (begin, end, 1)}))
    return tuple(parts)


# Selecting.


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
    array, where = builder.small(value), builder.small(indices)
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


def repeat(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Each element so many times."""
    value, times = arguments[0], attributes.integer("repeats")
    if "axis" not in attributes:
        value = builder.reshape(value, [math.prod(builder.shape(value))])
    axis = builder.axis(attributes.integer("axis", 0), builder.rank(value))
    size = builder.shape(value)[axis]
    if not 0 < times * max(size, 1) <= MOST_ELEMENTS >> 4:
        raise malformed(f"an axis of {size} repeated {times} times")
    return builder.take(value, np.repeat(np.arange(size), times).tolist(), axis)


def tile(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The whole so many times along each axis."""
    return builder.emit(builder.op.tile(arguments[0], attributes.integers("reps")))


def broadcast(builder: Builder, value: Any, shape: Sequence[int]) -> Any:
    """A tensor in a larger shape."""
    if tuple(shape) == builder.shape(value):
        return value
    return builder.emit(builder.op.broadcast_to(value, tuple(shape)))


def broadcast_to(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A larger shape that is named."""
    return broadcast(builder, arguments[0], attributes.integers("shape"))


def broadcast_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The shape of another tensor."""
    return broadcast(builder, arguments[0], builder.shape(arguments[1]))


def _collapsed(builder: Builder, value: Any, shape: Sequence[int]) -> Any:
    old = builder.shape(value)
    padded = [1] * (len(old) - len(shape)) + list(shape)
    axes = [axis for axis, size in enumerate(padded) if size == 1 and old[axis] != 1]
    if axes:
        value = builder.emit(builder.op.sum(value, axes, True))
    return builder.reshape(value, shape)


def collapse_to(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The sum over what broadcasting would repeat."""
    return _collapsed(builder, arguments[0], attributes.integers("shape"))


def collapse_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The same, to the shape of another tensor."""
    return _collapsed(builder, arguments[0], builder.shape(arguments[1]))


# Making.


def _filled(builder: Builder, shape: Sequence[int], value: Any, dtype: str) -> Any:
    """A tensor of one number; `value` may be a tensor of one element."""
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_ELEMENTS:
        raise malformed(f"a tensor of shape {list(shape)!s:.100}")
    scalar = value if hasattr(value, "ty") else builder.const(value, dtype)
    scalar = builder.cast(builder.reshape(scalar, ()), dtype)
    array = builder.array(scalar)
    if array is not None and math.prod(shape) <= 64:
        return builder.const(np.full(tuple(shape), array), dtype)
    return broadcast(builder, scalar, shape)


def filled(number: float) -> Lowering:
    """zeros and ones."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        shape = attributes.integers("shape")
        return _filled(builder, shape, number, attributes.dtype("dtype", "float32"))

    return lower


def filled_like(number: float) -> Lowering:
    """zeros_like and ones_like."""

    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        value = arguments[0]
        return _filled(builder, builder.shape(value), number, builder.dtype(value))

    return lower


def full(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A tensor of one number."""
    dtype = attributes.dtype("dtype", builder.dtype(arguments[0]))
    return _filled(builder, attributes.integers("shape", []), arguments[0], dtype)


def full_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The same, in the shape of another."""
    like = arguments[0]
    return _filled(builder, builder.shape(like), arguments[1], builder.dtype(like))


def arange(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Numbers in equal steps; where it starts and stops must be known."""
    start, stop, step = (builder.known(argument, "arange").item() for argument in arguments[:3])
    dtype = attributes.dtype("dtype", builder.dtype(arguments[0]))
    if not step or not 0 <= (stop - start) / step <= MOST_ELEMENTS >> 4:
        raise malformed(f"an arange from {start} to {stop} in steps of {step}")
    return builder.const(np.arange(start, stop, step), dtype)


def shape_of(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The sizes, as a tensor."""
    return builder.const(builder.shape(arguments[0]), attributes.dtype("dtype", "int32"))


def size_of(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The number of elements."""
    count = math.prod(builder.shape(arguments[0]))
    return builder.const(count, attributes.dtype("dtype", "int32"))


def one_hot(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """One number where the index is, another elsewhere."""
    indices, on, off = arguments[:3]
    depth, dtype = attributes.integer("depth", 1), attributes.dtype("dtype", "float32")
    rank = builder.rank(indices)
    axis = builder.axis(attributes.integer("axis", -1), rank + 1)
    shape = builder.shape(indices)
    if not 0 < depth <= MOST_ELEMENTS >> 4:
        raise malformed(f"one_hot of depth {depth}")
    wide = builder.reshape(indices, [*shape[:axis], 1, *shape[axis:]])
    places = builder.const(np.arange(depth), builder.dtype(indices))
    hot = builder.binary("equal", wide, builder.along(places, rank + 1, axis))
    on, off = (builder.cast(builder.reshape(number, ()), dtype) for number in (on, off))
    return builder.emit(builder.op.where(hot, on, off))


def meshgrid(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Coordinates of a grid: a tuple."""
    values = fields_of(arguments[0])
    flat = [builder.reshape(value, [math.prod(builder.shape(value))]) for value in values]
    order = list(range(len(flat)))
    if attributes.text("indexing", "ij") == "xy" and len(flat) > 1:
        order[:2] = [1, 0]
    sizes = [0] * len(flat)
    for place, value in zip(order, flat, strict=True):
        sizes[place] = builder.shape(value)[0]
    grids = []
    for place, value in zip(order, flat, strict=True):
        shape = [1] * len(flat)
        shape[place] = sizes[place]
        grids.append(broadcast(builder, builder.reshape(value, shape), sizes))
    return tuple(grids)


# Sorting.


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
    values, indices = (builder.emit(builder.relax.TupleGetItem(both, i)) for i in range(2))
    indices = builder.cast(indices, dtype)
    return {"values": values, "indices": indices}.get(kind, (values, indices))
