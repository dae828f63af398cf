"""Convolutions and matrix products over weights packed for a tile.

Activations are channels last. Weights are [block][...taps...][channel in][feature in block]: the
vectors of one block lie behind one another in the order in which the inner loops load them. Where
the features do not fill whole blocks, the last block repeats features of the one before, so that
every vector is full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The annotation of a block that sums over packed weights: [features of a group, width of a block].
PACKED = "edgetvm.packed"


@dataclass(frozen=True)
class Window:
    """How a convolution walks over its input: one entry for each spatial axis.

    Attributes:
        taps: extents of the kernel.
        strides, dilations: in input elements.
        before, after: padding, in input elements.
    """

    taps: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def output(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Extents of the output over an input's spatial extents."""
        return tuple(
            (size + before + after - dilation * (taps - 1) - 1) // stride + 1
            for size, taps, stride, dilation, before, after in zip(
                spatial,
                self.taps,
                self.strides,
                self.dilations,
                self.before,
                self.after,
                strict=True,
            )
        )


def pack(weights: NDArray[Any], width: int) -> NDArray[Any]:
    """Features last to blocks of `width`: [..., channels, features] to [blocks, ..., width].

    The last block starts `width` before the end; fewer features than that are filled with zeros.
    """
    features = weights.shape[-1]
    if features < width:
        filled = np.zeros((*weights.shape[:-1], width), weights.dtype)
        filled[..., :features] = weights
        return np.ascontiguousarray(filled[None])
    starts = [min(i * width, features - width) for i in range(math.ceil(features / width))]
    return np.stack([weights[..., start : start + width] for start in starts])


def padded(data: Any, window: Window, value: Any) -> Any:
    """The input with its border, a stage of its own; the input itself where there is none."""
    from tvm import te, tirx

    if not any(window.before) and not any(window.after):
        return data
    spatial = data.shape[1:-1]
    shape = [
        data.shape[0],
        *(
            size + before + after
            for size, before, after in zip(spatial, window.before, window.after, strict=True)
        ),
        data.shape[-1],
    ]

    def element(*index: Any) -> Any:
        inside, tests = [], []
        for at, size, before, after in zip(
            index[1:-1], spatial, window.before, window.after, strict=True
        ):
            inside.append(at - before)
            tests += [at >= before] if before else []
            tests += [at < size + before] if after else []
        return tirx.if_then_else(
            tirx.all(*tests), data[(index[0], *inside, index[-1])], tirx.const(value, data.dtype)
        )

    return te.compute(shape, element, name="pad")


def convolution(
    data: Any,
    packed: Any,
    window: Window,
    features: int,
    groups: int,
    out_dtype: str,
    border: int = 0,
) -> Any:
    """A convolution, channels last, over packed weights.

    Args:
        data: [batch, ...spatial..., groups x channels].
        packed: [groups x blocks, ...taps longer than 1..., channels, width].
        window: of the convolution.
        features: of all groups.
        groups: each sees its own channels only.
        out_dtype: of the sums.
        border: what the padding holds.
    """
    from tvm import te

    width, channels = int(packed.shape[-1]), int(packed.shape[-2])
    each = features // groups
    blocks = math.ceil(each / width)
    source = padded(data, window, border)
    spatial = window.output([int(size) for size in data.shape[1:-1]])
    taps = [
        te.reduce_axis((0, size), f"tap{axis}") for axis, size in enumerate(window.taps) if size > 1
    ]
    channel = te.reduce_axis((0, channels), "channel")

    def element(*index: Any) -> Any:
        feature = index[-1]
        waiting = iter(taps)
        at = [
            position * stride + (next(waiting) * dilation if size > 1 else 0)
            for position, stride, dilation, size in zip(
                index[1:-1], window.strides, window.dilations, window.taps, strict=True
            )
        ]
        first, inner, block = channel, feature, None
        if groups > 1:
            first, inner = feature // each * channels + channel, feature % each
            block = feature // each * blocks
        weight = packed_element(packed, taps, channel, inner, each, block)
        value = source[(index[0], *at, first)]
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=[*taps, channel])

    return te.compute(
        (data.shape[0], *spatial, features),
        element,
        name="contraction",
        attrs={PACKED: [each, width]},
    )


def packed_element(
    packed: Any,
    between: Sequence[Any],
    channel: Any,
    feature: Any,
    features: int,
    first_block: Any = None,
) -> Any:
    """One weight of `pack`ed blocks.

    Args:
        packed: [blocks, ..., channels, width].
        between: indices of the axes between block and channel.
        channel, feature: which weight.
        features: of the group that `feature` counts in.
        first_block: of that group; the first one of all without it.
    """
    from tvm import tirx

    width = int(packed.shape[-1])
    block: Any = feature // width
    start: Any = block * width
    if features < width:
        block, start = 0, 0
    elif features % width:
        start = tirx.Min(start, features - width)
    if first_block is not None:
        block = first_block + block
    return packed[(block, *between, channel, feature - start)]


def product(data: Any, packed: Any, features: int, out_dtype: str) -> Any:
    """A matrix product: [..., rows, channels] times packed [blocks, channels, width]."""
    from tvm import te

    width, channels = int(packed.shape[-1]), int(packed.shape[-2])
    channel = te.reduce_axis((0, channels), "channel")

    def element(*index: Any) -> Any:
        value = data[(*index[:-1], channel)]
        weight = packed_element(packed, (), channel, index[-1], features)
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=[channel])

    return te.compute(
        (*data.shape[:-1], features),
        element,
        name="contraction",
        attrs={PACKED: [features, width]},
    )


def depthwise(data: Any, weights: Any, window: Window, out_dtype: str, border: int = 0) -> Any:
    """A depthwise convolution, channels last.

    Args:
        data: [batch, ...spatial..., channels].
        weights: [...taps..., channels].
        window: of the convolution.
        out_dtype: of the sums.
        border: what the padding holds.
    """
    from tvm import te

    source = padded(data, window, border)
    spatial = window.output([int(size) for size in data.shape[1:-1]])
    taps = [te.reduce_axis((0, size), f"tap{axis}") for axis, size in enumerate(window.taps)]

    def element(*index: Any) -> Any:
        value = source[(index[0], *places(index, taps, window), index[-1])]
        weight = weights[(*taps, index[-1])]
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=taps)

    return te.compute((data.shape[0], *spatial, data.shape[-1]), element, name="depthwise")


def places(index: Sequence[Any], taps: Sequence[Any], window: Window) -> list[Any]:
    """Where taps of an output element lie in the input with its border."""
    return [
        position * stride + tap * dilation
        for position, stride, dilation, tap in zip(
            index[1:-1], window.strides, window.dilations, taps, strict=True
        )
    ]
