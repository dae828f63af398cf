"""Convolution whose window is bent by offsets that are computed from the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.models.onnx.convolution import window
from edgetvm.models.onnx.emitter import rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node


def deform_conv(node: Node) -> Any:
    """Samples between pixels, each by its mask, then the product with the weights."""
    emit = node.emit
    data, weights, offsets = node.inputs[:3]
    if rank_of(data) != 4:
        raise node.refusal("only images of two axes are deformed")
    batch, channels, *sizes = shape_of(data)
    outputs, per_group, *kernel = shape_of(weights)
    given_strides, given_dilations, pads = window(node, tuple(sizes), kernel)
    groups = int(node.attributes.get("offset_group", 1))
    rows, columns = shape_of(offsets)[2:]
    offsets = emit.reshape(offsets, (batch, groups, *kernel, 2, rows, columns))
    sampled = emit.te(
        lambda x, bend: _sampled(x, bend, given_strides, given_dilations, pads), data, offsets
    )
    if node.has(4):
        mask = emit.reshape(node.inputs[4], (batch, groups, 1, *kernel, rows, columns))
        parts = (batch, groups, channels // groups, *kernel, rows, columns)
        sampled = emit.multiply(emit.reshape(sampled, parts), mask)
    split = int(node.attributes.get("group", 1))
    inner = per_group * int(np.prod(kernel))
    sampled = emit.reshape(sampled, (batch, split, inner, rows * columns))
    product = emit.matmul(emit.reshape(weights, (1, split, outputs // split, inner)), sampled)
    result = emit.reshape(product, (batch, outputs, rows, columns))
    if node.has(3):
        result = emit.add(result, emit.reshape(node.inputs[3], (1, outputs, 1, 1)))
    return result


def _sampled(data: Any, offsets: Any, strides: Any, dilations: Any, pads: Any) -> Any:
    """`[batch, channels, kernel…, output…]`: bilinear samples; what lies outside is zero."""
    from tvm import te, tirx

    batch, channels, height, width = (int(size) for size in data.shape)
    _, groups, kernel_rows, kernel_columns, _, rows, columns = (int(s) for s in offsets.shape)
    dtype = data.dtype

    def at(n: Any, c: Any, y: Any, x: Any) -> Any:
        inside = tirx.all(y >= 0, y < height, x >= 0, x < width)
        row, column = (
            tirx.max(tirx.min(place, size - 1), 0) for place, size in ((y, height), (x, width))
        )
        return tirx.Select(inside, data[n, c, row, column], tirx.const(0, dtype))

    def element(n: Any, c: Any, i: Any, j: Any, r: Any, k: Any) -> Any:
        group = c // (channels // groups)
        places = []
        for axis, (step, tap) in enumerate(((r, i), (k, j))):
            corner = step * strides[axis] - pads[axis] + tap * dilations[axis]
            places.append(corner.astype(dtype) + offsets[n, group, i, j, axis, r, k])
        y, x = places
        top, left = tirx.floor(y), tirx.floor(x)
        below, right = y - top, x - left
        first, second = top.astype("int32"), left.astype("int32")
        one = tirx.const(1, dtype)
        return (
            at(n, c, first, second) * (one - below) * (one - right)
            + at(n, c, first, second + 1) * (one - below) * right
            + at(n, c, first + 1, second) * below * (one - right)
            + at(n, c, first + 1, second + 1) * below * right
        )

    shape = (batch, channels, kernel_rows, kernel_columns, rows, columns)
    return te.compute(shape, element, name="sampled")


DEFORMABLE: dict[str, Converter] = {"DeformConv": deform_conv}
