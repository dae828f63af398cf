"""Maximum pooling with the places of the maxima, and its reverse."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.convolution import window
from edgetvm.models.onnx.emitter import dtype_of, is_float, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

_MOST_PLACES = 1 << 22


def max_pool(node: Node) -> Any:
    """TVM's, unless the places are wanted as well."""
    if not node.wants(1):
        return None
    emit, value = node.emit, node.inputs[0]
    batch, channels, *sizes = shape_of(value)
    counts, places = _places(node, tuple(sizes))
    size = int(np.prod(sizes))
    flat = emit.reshape(value, (batch, channels, size))
    dtype = dtype_of(value)
    low = -np.inf if is_float(dtype) else np.iinfo(dtype).min
    # One more element, which padding points to.
    flat = emit.concat([flat, emit.const(np.full((batch, channels, 1), low, dtype))], 2)
    taken = emit.reshape(emit.take(flat, places.ravel(), 2), (batch, channels, *places.shape))
    highest = emit.emit(emit.operator("max")(taken, 3))
    best = emit.emit(emit.operator("argmax")(taken, 3))
    if node.attributes.get("storage_order", 0):
        order = np.arange(size).reshape(sizes[::-1]).transpose().ravel()
        places = np.append(order, 0)[places]
    index = _picked(node, places, best, size)
    whole = (batch, channels, *counts)
    return [emit.reshape(highest, whole), emit.reshape(index, whole)]


def _picked(node: Node, places: NDArray[np.int64], best: Any, size: int) -> Any:
    """The place of each maximum in the whole tensor."""
    from tvm import te

    def compute(table: Any, chosen: Any) -> Any:
        return te.compute(
            chosen.shape,
            lambda n, c, o: table[o, chosen[n, c, o]] + (n * chosen.shape[1] + c) * size,
            name="places",
        )

    return node.emit.te(compute, node.emit.const(places), best)


def _places(node: Node, sizes: tuple[int, ...]) -> tuple[list[int], NDArray[np.int64]]:
    """Windows along each axis, and `[windows, elements]` the place of each element in the input."""
    kernel = [int(extent) for extent in node.attributes["kernel_shape"]]
    strides, dilations, pads = window(node, sizes, kernel)
    axes = []
    for axis, size in enumerate(sizes):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        room = size + pads[axis] + pads[axis + len(sizes)] - reach
        steps = (
            -(-room // strides[axis])
            if node.attributes.get("ceil_mode", 0)
            else room // strides[axis]
        )
        starts = np.arange(steps + 1) * strides[axis] - pads[axis]
        # A last window that would begin in the padding behind the input is none.
        starts = starts[starts < size + pads[axis]]
        axes.append(starts[:, None] + np.arange(kernel[axis]) * dilations[axis])
    counts = [len(axis) for axis in axes]
    if np.prod(counts, dtype=np.int64) * np.prod(kernel, dtype=np.int64) > _MOST_PLACES:
        raise node.refusal("its places are wanted, and it has too many windows for that")
    rows = []
    for at in product(*(range(count) for count in counts)):
        index: NDArray[np.int64] = np.zeros(1, np.int64)
        inside = np.ones(1, bool)
        for axis, size in zip([axes[i][k] for i, k in enumerate(at)], sizes, strict=True):
            index = (index[:, None] * size + np.clip(axis, 0, size - 1)).ravel()
            inside = (inside[:, None] & ((axis >= 0) & (axis < size))).ravel()
        rows.append(np.where(inside, index, int(np.prod(sizes))))
    return counts, np.array(rows)


def max_unpool(node: Node) -> Any:
    """Values put back to where they came from, zeros elsewhere."""
    emit, value = node.emit, node.inputs[0]
    shape = shape_of(value)
    kernel = [int(extent) for extent in node.attributes["kernel_shape"]]
    count = len(kernel)
    strides = node.attributes.get("strides") or [1] * count
    pads = node.attributes.get("pads") or [0] * (2 * count)
    own = [
        (shape[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[i + count]
        for i in range(count)
    ]
    size = int(np.prod([*shape[:2], *own], dtype=np.int64))
    zeros = emit.const(np.zeros(size, dtype_of(value)))
    flat = [emit.reshape(one, (int(np.prod(shape)),)) for one in (node.inputs[1], value)]
    scattered = emit.emit(emit.operator("scatter_elements")(zeros, *flat, axis=0))
    result = emit.reshape(scattered, (*shape[:2], *own))
    if node.has(2):
        wanted = [int(extent) for extent in node.require(2, "output shape")][2:]
        for axis, extent in enumerate(wanted, rank_of(value) - count):
            have = list(shape_of(result))
            if extent > have[axis]:
                have[axis] = extent - have[axis]
                result = emit.concat([result, emit.const(np.zeros(have, dtype_of(value)))], axis)
            result = emit.slice(result, axis, 0, extent)
    return result


POOLING: dict[str, Converter] = {"MaxPool": max_pool, "MaxUnpool": max_unpool}
