"""Operators that move elements and change none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, shape_of
from edgetvm.models.tflite.rules import Node, Refusal, itself, moved, rule


@rule("DENSIFY", quantised=moved)
def densify(node: Node) -> Value:
    """Sparse constants are made dense when the file is read."""
    return node.value(0)


@rule("RESHAPE", quantised=moved)
def reshape(node: Node) -> Value:
    """Another shape, given as an input or as an option."""
    if node.has(1):
        shape = node.integers(1, "a shape")
    else:
        options = node.options("ReshapeOptions")
        shape = [options.NewShape(index) for index in range(options.NewShapeLength())]
        if shape == [0]:  # how old converters wrote a scalar
            shape = []
    return node.emit.reshape(node.value(0), shape)


@rule("SQUEEZE", quantised=moved)
def squeeze(node: Node) -> Value:
    """Without axes of size 1."""
    options = node.options("SqueezeOptions")
    shape = node.shape(0)
    count = options.SqueezeDimsLength()
    named = {node.axis(options.SqueezeDims(index)) for index in range(count)}
    gone = named or {axis for axis, size in enumerate(shape) if size == 1}
    return node.emit.reshape(
        node.value(0), [size for axis, size in enumerate(shape) if axis not in gone]
    )


@rule("EXPAND_DIMS", quantised=moved)
def expand_dims(node: Node) -> Value:
    """One more axis of size 1."""
    shape = list(node.shape(0))
    axis = node.integer(1, "an axis")
    shape.insert(node.axis(axis, len(shape) + 1), 1)
    return node.emit.reshape(node.value(0), shape)


@rule("TRANSPOSE", quantised=moved)
def transpose(node: Node) -> Value:
    """The axes in another order."""
    order = [node.axis(axis) for axis in node.integers(1, "an order of axes")]
    return node.emit.transpose(node.value(0), order)


def _alike(node: Node) -> list[Value]:
    """All inputs as integers of the output's quantisation; as they are where it has none."""
    values = []
    for index, tensor in enumerate(node.tensors):
        value = node.value(index)
        if tensor is not None and tensor.scales and node.result.scales:
            value = q.requantise(
                node.emit, value, tensor.scales, node.result.scales, node.result.dtype
            )
        values.append(value)
    return values


@rule("CONCATENATION", quantised=itself)
def concatenation(node: Node) -> Value:
    """One after the other along an axis; LiteRT heeds no fused activation here."""
    axis = node.axis(node.options("ConcatenationOptions").Axis())
    return node.emit.concat(_alike(node), axis)


@rule("PACK", quantised=itself)
def pack(node: Node) -> Value:
    """One beside the other along a new axis."""
    shape = list(node.shape(0))
    axis = node.axis(node.options("PackOptions").Axis(), len(shape) + 1)
    shape.insert(axis, 1)
    return node.emit.concat([node.emit.reshape(value, shape) for value in _alike(node)], axis)


@rule("UNPACK", quantised=moved)
def unpack(node: Node) -> list[Value]:
    """Each index of an axis by itself."""
    shape = node.shape(0)
    axis = node.axis(node.options("UnpackOptions").Axis())
    rest = [*shape[:axis], *shape[axis + 1 :]]
    if shape[axis] != len(node.results):
        raise ValueError(f"{shape[axis]} parts for {len(node.results)} outputs")
    return [
        node.emit.reshape(node.emit.slice(node.value(0), axis, index, index + 1), rest)
        for index in range(shape[axis])
    ]


def _cut(node: Node, value: Value, axis: int, sizes: list[int]) -> list[Value]:
    bounds = np.cumsum([0, *sizes]).tolist()
    if len(sizes) != len(node.results) or bounds[-1] != shape_of(value)[axis] or min(sizes) < 0:
        raise ValueError("parts that do not make up the whole")
    return [node.emit.slice(value, axis, begin, end) for begin, end in pairwise(bounds)]


@rule("SPLIT", quantised=itself)
def split(node: Node) -> list[Value]:
    """Into equal parts."""
    shape = node.shape(1)
    axis = node.axis(node.integer(0, "an axis"), len(shape))
    count = max(len(node.results), 1)
    return _cut(node, node.value(1), axis, [shape[axis] // count] * count)


@rule("SPLIT_V", quantised=moved)
def split_v(node: Node) -> list[Value]:
    """Into parts of given sizes; one may be -1."""
    axis = node.axis(node.integer(2, "an axis"))
    sizes = node.integers(1, "sizes")
    if -1 in sizes:
        sizes[sizes.index(-1)] = node.shape(0)[axis] - sum(size for size in sizes if size != -1)
    return _cut(node, node.value(0), axis, sizes)


@rule("SLICE", quantised=moved)
def slice_(node: Node) -> Value:
    """From `begin`, `size` long; -1 is to the end."""
    shape = node.shape(0)
    begins = node.integers(1, "a begin")
    sizes = node.integers(2, "a size")
    value = node.value(0)
    for axis, (begin, size) in enumerate(zip(begins, sizes, strict=True)):
        end = shape[axis] if size == -1 else begin + size
        if not 0 <= begin <= end <= shape[axis]:
            raise ValueError(f"{begin} to {end} of {shape[axis]}")
        value = node.emit.slice(value, axis, begin, end)
    return value


@rule("STRIDED_SLICE", quantised=moved)
def strided_slice(node: Node) -> Value:
    """Python's slicing, its masks as bits."""
    options = node.options("StridedSliceOptions")
    begins, ends, strides = (
        node.integers(index, what)
        for index, what in ((1, "a begin"), (2, "an end"), (3, "a stride"))
    )
    if options.Offset():
        ends = [begin + end for begin, end in zip(begins, ends, strict=True)]
    given = len(begins)
    new = [bool(options.NewAxisMask() >> at & 1) for at in range(given)]
    dots = [bool(options.EllipsisMask() >> at & 1) for at in range(given)]
    shape = node.shape(0)
    used = sum(not a and not b for a, b in zip(new, dots, strict=True))
    value, axis = node.value(0), 0
    result: list[int] = []
    for at in range(given):
        if dots[at]:
            through = len(shape) - used
            result += shape_of(value)[axis : axis + through]
            axis += through
        elif new[at]:
            result.append(1)
        else:
            shrinks = bool(options.ShrinkAxisMask() >> at & 1)
            begin = None if options.BeginMask() >> at & 1 else begins[at]
            end = None if options.EndMask() >> at & 1 else ends[at]
            value = _part(node, value, axis, begin, end, strides[at], shrinks)
            result += [] if shrinks else [shape_of(value)[axis]]
            axis += 1
    return node.emit.reshape(value, [*result, *shape_of(value)[axis:]])


def _part(
    node: Node,
    value: Value,
    axis: int,
    begin: int | None,
    end: int | None,
    stride: int,
    shrinks: bool,
) -> Value:
    size = shape_of(value)[axis]
    if shrinks:
        index = node.axis(begin or 0, size) if size else 0
        return node.emit.slice(value, axis, index, index + 1)
    indices = range(size)[slice(begin, end, stride)]
    if not indices:
        raise Refusal("of nothing")
    if stride > 0:
        return node.emit.slice(value, axis, indices[0], indices[-1] + 1, stride)
    every = node.emit.indices(size)
    return node.emit.take(value, every[indices.start :: stride][: len(indices)], axis)


def _zero(node: Node) -> int:
    """What stands for zero in the first input."""
    tensor = node.tensors[0]
    return int(tensor.scales.zero_point[0]) if tensor is not None and tensor.scales else 0


def _widths(node: Node) -> list[tuple[int, int]]:
    pairs = node.constant(1, "a padding").reshape(-1, 2).tolist()
    if len(pairs) != len(node.shape(0)):
        raise ValueError("a padding of another rank")
    return [(int(before), int(after)) for before, after in pairs]


@rule("PAD", quantised=moved)
def pad(node: Node) -> Value:
    """Zeros around it."""
    return node.emit.pad(node.value(0), _widths(node), _zero(node))


@rule("PADV2", quantised=moved)
def pad_v2(node: Node) -> Value:
    """A given value around it."""
    fill = node.constant(2, "a value").ravel()[0]
    return node.emit.pad(node.value(0), _widths(node), float(fill))


@rule("MIRROR_PAD", quantised=moved)
def mirror_pad(node: Node) -> Value:
    """Its own elements around it, reflected."""
    twice = node.options("MirrorPadOptions").Mode() == 1  # SYMMETRIC: the edge comes twice
    value = node.value(0)
    for axis, (before, after) in enumerate(_widths(node)):
        if before or after:
            size = shape_of(value)[axis]
            if not 0 <= min(before, after) <= max(before, after) <= size - (not twice):
                raise ValueError(f"{size} elements mirrored {max(before, after)} times")
            widths = (before, after)
            indices = np.pad(node.emit.indices(size), widths, "symmetric" if twice else "reflect")
            value = node.emit.take(value, indices, axis)
    return value


@rule("TILE", quantised=moved)
def tile(node: Node) -> Value:
    """Repeated along each axis."""
    return node.emit.tile(node.value(0), node.integers(1, "repeats"))


@rule("BROADCAST_TO", quantised=moved)
def broadcast_to(node: Node) -> Value:
    """Axes of size 1 repeated."""
    return node.emit.broadcast(node.value(0), node.integers(1, "a shape"))


@rule("BROADCAST_ARGS", quantised=itself)
def broadcast_args(node: Node) -> Value:
    """The shape that two shapes broadcast to."""
    shapes = [node.integers(index, "a shape") for index in (0, 1)]
    return np.array(np.broadcast_shapes(*map(tuple, shapes)), node.result.dtype)


@rule("REVERSE_V2", quantised=moved)
def reverse_v2(node: Node) -> Value:
    """Axes back to front."""
    value = node.value(0)
    for number in node.integers(1, "an axis"):
        axis = node.axis(number)
        value = node.emit.take(value, node.emit.indices(node.shape(0)[axis])[::-1], axis)
    return value


@rule("SPACE_TO_DEPTH", quantised=moved)
def space_to_depth(node: Node) -> Value:
    """Blocks of points become channels."""
    block = max(node.options("SpaceToDepthOptions").BlockSize(), 1)
    batch, height, width, depth = node.axes(0, 4)
    emit = node.emit
    shape = (batch, height // block, block, width // block, block, depth)
    apart = emit.transpose(emit.reshape(node.value(0), shape), (0, 1, 3, 2, 4, 5))
    return emit.reshape(apart, (batch, height // block, width // block, block * block * depth))


@rule("DEPTH_TO_SPACE", quantised=moved)
def depth_to_space(node: Node) -> Value:
    """Channels become blocks of points."""
    block = max(node.options("DepthToSpaceOptions").BlockSize(), 1)
    batch, height, width, depth = node.axes(0, 4)
    emit = node.emit
    left = depth // block**2
    shape = (batch, height, width, block, block, left)
    apart = emit.transpose(emit.reshape(node.value(0), shape), (0, 1, 3, 2, 4, 5))
    return emit.reshape(apart, (batch, height * block, width * block, left))


def _blocks(node: Node) -> tuple[list[int], list[tuple[int, int]]]:
    blocks = [int(size) for size in node.constant(1, "a block shape").ravel()]
    pairs = node.constant(2, "a padding or crop").reshape(-1, 2).tolist()
    if min(blocks) < 1 or len(pairs) != len(blocks):
        raise ValueError("blocks without extent")
    return blocks, [(int(a), int(b)) for a, b in pairs]


@rule("SPACE_TO_BATCH_ND", quantised=moved)
def space_to_batch_nd(node: Node) -> Value:
    """Each point of a block goes to a batch of its own."""
    emit = node.emit
    blocks, widths = _blocks(node)
    rank, axes = len(node.shape(0)), len(blocks)
    around = [(0, 0), *widths, *[(0, 0)] * (rank - 1 - axes)]
    padded = emit.pad(node.value(0), around, _zero(node))
    batch, *sizes = shape_of(padded)
    rest = sizes[axes:]
    split = [
        part for size, block in zip(sizes, blocks, strict=False) for part in (size // block, block)
    ]
    apart = emit.reshape(padded, (batch, *split, *rest))
    order = [
        *(2 * at + 2 for at in range(axes)),
        0,
        *(2 * at + 1 for at in range(axes)),
        *range(2 * axes + 1, 2 * axes + 1 + len(rest)),
    ]
    counts = [size // block for size, block in zip(sizes, blocks, strict=False)]
    return emit.reshape(
        emit.transpose(apart, order), (batch * int(np.prod(blocks)), *counts, *rest)
    )


@rule("BATCH_TO_SPACE_ND", quantised=moved)
def batch_to_space_nd(node: Node) -> Value:
    """The way back, and cropped."""
    emit = node.emit
    blocks, crops = _blocks(node)
    axes = len(blocks)
    whole, *sizes = node.shape(0)
    rest = sizes[axes:]
    batch = whole // int(np.prod(blocks))
    apart = emit.reshape(node.value(0), (*blocks, batch, *sizes))
    order = [axes]
    for at in range(axes):
        order += [axes + 1 + at, at]
    order += list(range(2 * axes + 1, 2 * axes + 1 + len(rest)))
    large = [size * block for size, block in zip(sizes, blocks, strict=False)]
    value = emit.reshape(emit.transpose(apart, order), (batch, *large, *rest))
    for at, (before, after) in enumerate(crops):
        if before < 0 or after < 0 or before + after > large[at]:
            raise ValueError("a crop beyond the picture")
        value = emit.slice(value, at + 1, before, large[at] - after)
    return value
