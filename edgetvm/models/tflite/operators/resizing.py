"""Pictures of another size: rows and columns are picked by index, then mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of
from edgetvm.models.tflite.rules import Node, Results, itself, rule


def _sizes(node: Node) -> tuple[int, int]:
    height, width = node.integers(1, "a size", 2)
    if min(height, width, *node.shape(0)) < 1:
        raise ValueError("a picture without extent")
    return height, width


def _scale(size: int, result: int, align: bool) -> np.float32:
    if align and result > 1:
        return np.float32(size - 1) / np.float32(result - 1)
    return np.float32(size) / np.float32(result)


def _places(node: Node, size: int, result: int, options: Any) -> NDArray[np.float32]:
    """Where each point of the result lies in the source."""
    scale = _scale(size, result, bool(options.AlignCorners()))
    points = node.emit.indices(result, "float32")
    if options.HalfPixelCenters():
        return ((points + np.float32(0.5)) * scale - np.float32(0.5)).astype(np.float32)
    return (points * scale).astype(np.float32)


@rule("RESIZE_NEAREST_NEIGHBOR", quantised=itself)
def resize_nearest_neighbor(node: Node) -> Value:
    """The nearest point."""
    options = node.options("ResizeNearestNeighborOptions")
    result = node.value(0)
    for axis, size in enumerate(_sizes(node), start=1):
        source = node.shape(0)[axis]
        scale = _scale(source, size, bool(options.AlignCorners()))
        shift = np.float32(0.5 if options.HalfPixelCenters() else 0.0)
        places = (node.emit.indices(size, "float32") + shift) * scale
        # Halves go up, as in C's round.
        places = np.floor(places + np.float32(0.5) if options.AlignCorners() else places)
        index = np.clip(places, 0, source - 1).astype(np.int32)
        result = node.emit.take(result, index, axis)
    return result


def _bilinear(node: Node) -> Results:
    """Mixed in integers: 8-bit pictures by XNNPACK's weights of 11 bits."""
    if dtype_of(node.value(0)) == "int16":
        return _bilinear_of_16_bits(node)
    if dtype_of(node.value(0)) not in ("int8", "uint8"):
        return NotImplemented
    emit = node.emit
    total = _mixed(node, emit.cast(node.value(0), "int32"), bits=11)
    rounded = emit("right_shift", emit("add", total, 1 << 21), 22)
    result = emit.cast(emit.clip(rounded, *q.limits(node.result.dtype)), node.result.dtype)
    return q.requantise(emit, result, node.scales(0), node.result_scales, node.result.dtype)


def _bilinear_of_16_bits(node: Node) -> Value:
    """LiteRT's own kernel: places in steps of 1/1024."""
    emit = node.emit
    options = node.options("ResizeBilinearOptions")
    value = emit.cast(node.value(0), "int64")
    for axis, size in enumerate(_sizes(node), start=1):
        source, one = node.shape(0)[axis], 1 << 10
        inner = 1 if options.AlignCorners() and size > 1 else 0
        step = (one * (source - inner) + (size - inner) // 2) // (size - inner)
        places = emit.indices(size, "int64") * step
        if options.HalfPixelCenters():
            places += step // 2 - one // 2
        low = np.maximum(np.trunc(places / one), 0).astype(np.int64)
        high = np.clip(-(-places // one), 0, source - 1)
        part = (places - one * low).reshape([-1 if at == axis else 1 for at in range(4)])
        first = emit("multiply", emit.take(value, low, axis), one - part)
        value = emit("add", first, emit("multiply", emit.take(value, high, axis), part))
    half = emit.where(emit("greater", value, 0), np.array(1 << 19), np.array(-(1 << 19)))
    return emit.cast(emit("divide", emit("add", value, half), 1 << 20), "int16")


@rule("RESIZE_BILINEAR", instead=_bilinear)
def resize_bilinear(node: Node) -> Value:
    """Mixed from the four nearest points."""
    return _mixed(node, node.value(0), bits=None)


def _mixed(node: Node, value: Value, bits: int | None) -> Value:
    """Along rows, then along columns; by integer weights of so many bits, or by floats."""
    emit = node.emit
    options = node.options("ResizeBilinearOptions")
    for axis, size in enumerate(_sizes(node), start=1):
        source = node.shape(0)[axis]
        places = np.clip(_places(node, source, size, options), 0, source - 1)
        low = np.floor(places).astype(np.int32)
        high = np.minimum(low + 1, source - 1)
        part = (places - low).reshape([-1 if one == axis else 1 for one in range(4)])
        first, second = emit.take(value, low, axis), emit.take(value, high, axis)
        if bits is None:
            weight = part.astype(dtype_of(value))
            mix = emit("multiply", emit("subtract", second, first), weight)
            value = emit("add", first, mix)
        else:
            weight = np.rint(part * (1 << bits)).astype(np.int32)
            mix = emit("multiply", emit("subtract", second, first), weight)
            value = emit("add", emit("left_shift", first, bits), mix)
    return value
