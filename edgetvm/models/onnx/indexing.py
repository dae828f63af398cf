"""Slices and selections at indices that are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import array_of, dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node


def slice_(node: Node) -> Any:
    """Bounds as attributes (below opset 10) or constant inputs."""
    emit, value = node.emit, node.inputs[0]
    shape = shape_of(value)
    begins, ends = node.integers("starts", 1), node.integers("ends", 2)
    if begins is None or ends is None:
        raise node.refusal("it has no bounds")
    axes = node.integers("axes", 3) or list(range(len(begins)))
    steps = node.integers("steps", 4) or [1] * len(begins)
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        axis %= len(shape)  # noqa: PLW2901
        size = shape_of(value)[axis]
        first, last, stride = slice(begin, end, step).indices(size)
        index = range(first, last, stride)
        if stride == 1 and index:
            value = emit.slice(value, axis, first, last)
        elif len(index) == 0:
            value = _part(node, value, axis, 0, 0)
        elif stride > 1 and array_of(value) is None:
            strided = emit.operator("strided_slice")
            value = emit.emit(strided(value, [axis], [first], [last], [stride]))
        else:
            value = emit.take(value, list(index), axis)
    return value


def split(node: Node) -> list[Any]:
    """Parts of given sizes (an attribute below opset 13), or as equal as can be."""
    value = node.inputs[0]
    axis = int(node.attributes.get("axis", 0)) % rank_of(value)
    whole = shape_of(value)[axis]
    sizes = node.integers("split", 1)
    if sizes is None:
        count = int(node.attributes.get("num_outputs", node.output_count))
        size = -(-whole // count)
        sizes = [min(size, whole - begin) for begin in range(0, size * count, size)]
    if sum(sizes) != whole or min(sizes) < 0:
        raise node.refusal(f"{whole} elements in parts of {sizes}")
    ends = np.cumsum(sizes)
    return [
        _part(node, value, axis, int(end) - size, int(end))
        for end, size in zip(ends, sizes, strict=True)
    ]


def _part(node: Node, value: Any, axis: int, begin: int, end: int) -> Any:
    """Elements along an axis; none of them are a constant, which TVM's loops need not meet."""
    if begin < end:
        return node.emit.slice(value, axis, begin, end)
    empty = list(shape_of(value))
    empty[axis] = 0
    return node.emit.const(np.zeros(empty, dtype_of(value)))


def gather(node: Node) -> Any:
    """Elements at indices that may count from the end; no index reads outside of the data."""
    emit, value, indices = node.emit, node.inputs[0], node.inputs[1]
    axis = int(node.attributes.get("axis", 0)) % rank_of(value)
    size = shape_of(value)[axis]
    known = array_of(indices)
    if known is not None:
        if known.size and not -size <= known.min() <= known.max() < size:
            raise node.refusal(f"an index beyond the {size} elements of axis {axis}")
        return emit.take(value, known % max(1, size), axis)
    zero = emit.like(0, indices)
    place = emit.where(
        emit.less(indices, zero), emit.add(indices, emit.like(size, indices)), indices
    )
    return emit.emit(emit.operator("take")(value, place, axis, mode="clip"))


def compress(node: Node) -> Any:
    """Elements where a constant condition holds."""
    emit, value = node.emit, node.inputs[0]
    chosen = np.flatnonzero(node.require(1, "condition"))
    axis = node.attributes.get("axis")
    if axis is None:
        value = emit.reshape(value, (int(np.prod(shape_of(value), dtype=np.int64)),))
        axis = 0
    return emit.take(value, chosen, axis % rank_of(value))


def one_hot(node: Node) -> Any:
    """`values[1]` at each index, `values[0]` elsewhere; an index may count from the end."""
    from tvm import te, tirx

    depth = int(node.require(1, "depth").ravel()[0])
    emit = node.emit
    indices = emit.cast(node.inputs[0], "int64")
    axis = int(node.attributes.get("axis", -1)) % (rank_of(indices) + 1)

    def compute(index: Any, values: Any) -> Any:
        shape = list(index.shape)
        shape.insert(axis, depth)

        def element(*at: Any) -> Any:
            wanted = index[tuple(at[:axis] + at[axis + 1 :])]
            here = at[axis].astype("int64")
            hit = tirx.Or(wanted == here, wanted + depth == here)
            return tirx.Select(hit, values[1], values[0])

        return te.compute(shape, element, name="one_hot")

    return emit.te(compute, indices, node.inputs[2])


def eye_like(node: Node) -> Any:
    """Ones on a diagonal."""
    from onnx import helper

    rows, columns = shape_of(node.inputs[0])
    to = node.attributes.get("dtype")
    dtype = helper.tensor_dtype_to_np_dtype(to).name if to else dtype_of(node.inputs[0])
    return node.emit.const(np.eye(rows, columns, int(node.attributes.get("k", 0)), dtype))


def _flipped(node: Node, value: Any, axis: int) -> Any:
    return node.emit.emit(node.emit.operator("flip")(value, axis))


def cumulative_product(node: Node) -> Any:
    """Product of all elements so far, with or without the current one, from either end."""
    emit, value = node.emit, node.inputs[0]
    axis = int(node.require(1, "axis").ravel()[0]) % rank_of(value)
    reverse = bool(node.attributes.get("reverse", 0))
    if reverse:
        value = _flipped(node, value, axis)
    if node.attributes.get("exclusive", 0):
        shape = list(shape_of(value))
        shape[axis] = 1
        one = emit.const(np.ones(shape, dtype_of(value)))
        value = emit.concat([one, emit.slice(value, axis, 0, shape_of(value)[axis] - 1)], axis)
    value = emit.emit(emit.operator("cumprod")(value, axis, dtype_of(value)))
    return _flipped(node, value, axis) if reverse else value


def scatter_rows(node: Node) -> Any:
    """TensorScatter: rows of an update put into a cache, at each batch's own position."""
    from tvm import te, tirx

    emit = node.emit
    past, update = node.inputs[0], node.inputs[1]
    rank = rank_of(past)
    axis = int(node.attributes.get("axis", -2)) % rank
    circular = node.attributes.get("mode", "linear") == "circular"
    count = shape_of(update)[axis]
    size = shape_of(past)[axis]
    starts = node.input(2)
    if starts is None:
        starts = emit.const(np.zeros(shape_of(past)[0], np.int64))

    def compute(old: Any, new: Any, start: Any) -> Any:
        def element(*at: Any) -> Any:
            offset = at[axis].astype("int64") - start[at[0]].astype("int64")
            if circular:
                offset = tirx.floormod(offset, tirx.const(size, "int64"))
            inside = tirx.And(offset >= 0, offset < count)
            place = list(at)
            place[axis] = tirx.Select(inside, offset, tirx.const(0, "int64"))
            return tirx.Select(inside, new[tuple(place)], old[at])

        return te.compute(old.shape, element, name="tensor_scatter")

    return emit.te(compute, past, update, starts)


def concat(node: Node) -> Any:
    """Tensors one after the other; empty ones add nothing."""
    axis = int(node.attributes.get("axis", 1)) % rank_of(node.inputs[0])
    parts = [value for value in node.inputs if shape_of(value)[axis] > 0]
    return node.emit.concat(parts or list(node.inputs[:1]), axis)


def pad(node: Node) -> Any:
    """With a value that is only known at run time; all else is TVM's."""
    emit, value = node.emit, node.inputs[0]
    mode = node.attributes.get("mode", "constant")
    if mode != "constant" or not node.has(2) or node.constant(2) is not None:
        return None
    pads = [int(size) for size in node.require(1, "pads")]
    shape = shape_of(value)
    axes = [int(a) % len(shape) for a in node.require(3, "axes")] if node.has(3) else None
    axes = axes or list(range(len(shape)))
    inside = np.ones(shape, bool)
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        size = shape_of(value)[axis]
        first, last = max(0, -begin), size - max(0, -end)
        value = emit.slice(value, axis, first, last)
        inside = np.take(inside, range(first, last), axis)
        index = np.clip(np.arange(-max(0, begin), last - first + max(0, end)), 0, last - first - 1)
        value = emit.take(value, index, axis)
        width = [(0, 0)] * len(shape)
        width[axis] = (max(0, begin), max(0, end))
        inside = np.pad(inside, width)
    return emit.where(emit.const(inside), value, emit.reshape(node.inputs[2], ()))


def col2im(node: Node) -> Any:
    """Columns of blocks summed where they overlap: each pixel gathers the blocks that hold it."""
    from tvm import te, tirx

    emit, value = node.emit, node.inputs[0]
    image = [int(size) for size in node.require(1, "image shape")]
    block = [int(size) for size in node.require(2, "block shape")]
    rank = len(image)
    strides = node.attributes.get("strides") or [1] * rank
    dilations = node.attributes.get("dilations") or [1] * rank
    pads = node.attributes.get("pads") or [0] * (2 * rank)
    counts = [
        (image[i] + pads[i] + pads[i + rank] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]
    batch, rows, _ = shape_of(value)
    channels = rows // int(np.prod(block))
    source = emit.reshape(value, (batch, channels, *block, *counts))

    def compute(data: Any) -> Any:
        kernel = [te.reduce_axis((0, size), name=f"k{i}") for i, size in enumerate(block)]

        def element(*at: Any) -> Any:
            inside = tirx.const(True, "bool")
            places = []
            for i in range(rank):
                offset = at[2 + i] + pads[i] - kernel[i] * dilations[i]
                place = tirx.floordiv(offset, strides[i])
                fits = tirx.And(place >= 0, place < counts[i])
                fits = tirx.And(fits, tirx.floormod(offset, strides[i]) == 0)
                inside = tirx.And(inside, fits)
                places.append(tirx.min(tirx.max(place, 0), counts[i] - 1))
            found = data[(at[0], at[1], *kernel, *places)]
            return te.sum(tirx.Select(inside, found, tirx.const(0, data.dtype)), axis=kernel)

        return te.compute((batch, channels, *image), element, name="col2im")

    return emit.te(compute, source)


def array_features(node: Node) -> Any:
    """Columns at the indices."""
    emit, value = node.emit, node.inputs[0]
    if rank_of(value) == 1:
        value = emit.unsqueeze(value, 0)
    index = emit.reshape(node.inputs[1], (int(np.prod(shape_of(node.inputs[1]), dtype=np.int64)),))
    return node.apply("Gather", value, index, axis=-1)


def binarizer(node: Node) -> Any:
    """1 above a threshold, else 0."""
    emit, value = node.emit, node.inputs[0]
    limit = emit.like(float(node.attributes.get("threshold", 0.0)), value)
    return emit.cast(emit.less(limit, value), dtype_of(value))


def non_max_suppression(node: Node) -> Any:
    """TVM's, which takes its defaults for limits that are not constant: those are refused."""
    for index, what in ((2, "number of boxes"), (3, "overlap"), (4, "least score")):
        if node.has(index):
            node.require(index, what)
    return None


def roi_align(node: Node) -> Any:
    """TVM's, on regions in the map's own scale: TVM would shift half a pixel before it scales."""
    scale = float(node.attributes.get("spatial_scale", 1.0))
    if scale == 1:
        return None
    data, regions, batches = node.inputs
    scaled = node.emit.multiply(regions, node.emit.like(scale, regions))
    attributes = {**node.attributes, "spatial_scale": 1.0}
    return node.apply("RoiAlign", data, scaled, batches, **attributes)


def space_to_depth(node: Node) -> Any:
    """Blocks of pixels as channels: within a block first (DCR), or channels first (CRD)."""
    emit = node.emit
    batch, channels, height, width = shape_of(node.inputs[0])
    size = int(node.attributes["blocksize"])
    rows, columns = height // size, width // size
    parts = emit.reshape(node.inputs[0], (batch, channels, rows, size, columns, size))
    order = (0, 1, 3, 5, 2, 4) if node.attributes.get("mode") == "CRD" else (0, 3, 5, 1, 2, 4)
    return emit.reshape(emit.transpose(parts, order), (batch, channels * size**2, rows, columns))


INDEXING: dict[str, Converter] = {
    "ai.onnx.ml.ArrayFeatureExtractor": array_features,
    "ai.onnx.ml.Binarizer": binarizer,
    "Col2Im": col2im,
    "Pad": pad,
    "Gather": gather,
    "Slice": slice_,
    "Split": split,
    "RoiAlign": roi_align,
    "SpaceToDepth": space_to_depth,
    "Compress": compress,
    "Concat": concat,
    "NonMaxSuppression": non_max_suppression,
    "OneHot": one_hot,
    "EyeLike": eye_like,
    "CumProd": cumulative_product,
    "TensorScatter": scatter_rows,
}
