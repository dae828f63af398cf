"""Convolutions and products of 8-bit integers by dot-product instructions.

The data are staged as rows of bytes (or of 16-bit words): taps along a row and their channels lie
behind one another there, so that a dot product runs over several taps where channels are few, and
one that reaches past the last of them meets weights of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import PACKED, Window, pack
from edgetvm.compile.kernels.dots import Dot

# The annotation of a block that sums by a dot product: the name of its instruction.
DOT = "edgetvm.dot"
# How a matrix product walks over a row of its data.
ONE_ELEMENT = Window((1,), (1,), (1,), (0,), (0,))


def run_length(window: Window, channels: int) -> tuple[int, int]:
    """Taps along a row that are summed one by one, and elements of each that are neighbours."""
    across = window.taps[-1]
    if window.dilations[-1] == 1 or across == 1:
        return 1, across * channels
    return across, channels


def pack_dots(weights: NDArray[Any], window: Window, dot: Dot, width: int) -> NDArray[Any]:
    """Weights [...taps..., channels, features] as [blocks, ...taps..., steps, width, depth]."""
    *taps, channels, features = weights.shape
    apart, length = run_length(window, channels)
    steps = math.ceil(length / dot.depth)
    runs = weights.reshape(*taps[:-1], apart, length, features)
    whole = np.zeros((*runs.shape[:-2], steps * dot.depth, features), dot.weights)
    whole[..., :length, :] = runs
    blocks = pack(whole, width)
    split = blocks.reshape(*blocks.shape[:-2], steps, dot.depth, width)
    return np.ascontiguousarray(np.swapaxes(split, -1, -2))


def staged(
    data: Any,
    channels: int,
    before: Sequence[int],
    after: Sequence[int],
    value: int,
    shift: int,
    dot: Dot,
    slack: int,
) -> Any:
    """The data with its border, shifted to the type of the instruction, one row after another.

    Args:
        data: [batch, ...spatial but the last..., width x channels], of 8 bits.
        channels: of the data.
        before, after: border round each spatial axis.
        value: of the border.
        shift: what is added to data and border.
        dot: the instruction.
        slack: elements behind the last of a row that may be read.

    Returns:
        [batch, ...spatial but the last..., width x channels + slack].

    For a matrix product each row is one of the matrix, and nothing has a border.
    """
    from tvm import te, tirx

    *outer, width = (int(size) for size in data.shape[1:])
    sizes = [n + b + a for n, b, a in zip(outer, before[:-1], after[:-1], strict=True)]
    start, end = before[-1] * channels, before[-1] * channels + width
    row = end + after[-1] * channels

    def element(*index: Any) -> Any:
        places, tests = [], []
        for at, size, first, last in zip(index[1:-1], outer, before[:-1], after[:-1], strict=True):
            places.append(at - first)
            tests += [at >= first] if first else []
            tests += [at < size + first] if last else []
        at = index[-1]
        tests += [at >= start] if start else []
        tests += [at < end] if end < row + slack else []
        shifted = data[(index[0], *places, at - start)].astype("int32") + shift
        if not tests:
            return shifted.astype(dot.data)
        border = tirx.const(value + shift, dot.data)
        return tirx.if_then_else(tirx.all(*tests), shifted.astype(dot.data), border)

    return te.compute((data.shape[0], *sizes, row + slack), element, name="staged")


def convolution(
    rows: Any,
    packed: Any,
    window: Window,
    size: Sequence[int],
    channels: int,
    features: int,
    dot: Dot,
) -> Any:
    """The sums of a convolution over staged rows.

    Args:
        rows: of `staged`.
        packed: of `pack_dots`.
        window: of the convolution; its border is in the rows already.
        size: spatial extents of the output.
        channels, features: of data and output.
        dot: the instruction.
    """
    from tvm import te

    width, depth = int(packed.shape[-2]), dot.depth
    apart, _ = run_length(window, channels)
    above = [te.reduce_axis((0, taps), f"tap{axis}") for axis, taps in enumerate(window.taps[:-1])]
    tap = te.reduce_axis((0, apart), "tap")
    step = te.reduce_axis((0, int(packed.shape[-3])), "step")
    part = te.reduce_axis((0, depth), "part")

    def element(*index: Any) -> Any:
        places = [
            at * stride + one * dilation
            for at, stride, one, dilation in zip(
                index[1:-2], window.strides[:-1], above, window.dilations[:-1], strict=True
            )
        ]
        column = index[-2] * window.strides[-1] + tap * window.dilations[-1]
        value = rows[(index[0], *places, column * channels + step * depth + part)]
        weight = packed_dot(packed, (*above, tap, step), index[-1], part, features)
        return te.sum(
            value.astype("int32") * weight.astype("int32"), axis=[*above, tap, step, part]
        )

    return te.compute(
        (rows.shape[0], *size, features),
        element,
        name="contraction",
        attrs={PACKED: [features, width], DOT: dot.name},
    )


def product(rows: Any, packed: Any, features: int, dot: Dot) -> Any:
    """The sums of a matrix product: [..., rows, channels + slack] times packed weights."""
    from tvm import te

    width, depth = int(packed.shape[-2]), dot.depth
    step = te.reduce_axis((0, int(packed.shape[-3])), "step")
    part = te.reduce_axis((0, depth), "part")

    def element(*index: Any) -> Any:
        value = rows[(*index[:-1], step * depth + part)]
        weight = packed_dot(packed, (step,), index[-1], part, features)
        return te.sum(value.astype("int32") * weight.astype("int32"), axis=[step, part])

    return te.compute(
        (*rows.shape[:-1], features),
        element,
        name="contraction",
        attrs={PACKED: [features, width], DOT: dot.name},
    )


def packed_dot(packed: Any, between: Sequence[Any], feature: Any, part: Any, features: int) -> Any:
    """One weight of `pack_dots`."""
    from tvm import tirx

    width = int(packed.shape[-2])
    block: Any = feature // width
    start: Any = block * width
    if features < width:
        block, start = 0, 0
    elif features % width:
        start = tirx.Min(start, features - width)
    return packed[(block, *between, feature - start, part)]
