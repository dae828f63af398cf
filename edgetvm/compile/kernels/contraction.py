"""Convolutions and matrix products over weights packed for a tile.

Activations are channels last, or in blocks: [batch, channels / lanes, ...spatial..., lanes], told
by their rank. Weights are [block][...taps...][channel in][feature in block]: the vectors of one
block lie behind one another in the order in which the inner loops load them. Where the features do
not fill whole blocks, the last block repeats features of the one before, so that every vector is
full.
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
    first = len(data.shape) - len(window.taps) - 1
    spatial = data.shape[first:-1]
    shape = [
        *data.shape[:first],
        *(
            size + before + after
            for size, before, after in zip(spatial, window.before, window.after, strict=True)
        ),
        data.shape[-1],
    ]

    def element(*index: Any) -> Any:
        inside, tests = [], []
        for at, size, before, after in zip(
            index[first:-1], spatial, window.before, window.after, strict=True
        ):
            inside.append(at - before)
            tests += [at >= before] if before else []
            tests += [at < size + before] if after else []
        return tirx.if_then_else(
            tirx.all(*tests),
            data[(*index[:first], *inside, index[-1])],
            tirx.const(value, data.dtype),
        )

    return te.compute(shape, element, name="pad")


def channels_last(data: Any) -> Any:
    """Images in blocks of channels as kernels read them that know no blocks; others as they are."""
    from tvm import te

    if len(data.shape) < 5:
        return data
    batch, blocks, *spatial, lanes = (int(size) for size in data.shape)
    return te.compute(
        (batch, *spatial, blocks * lanes),
        lambda n, *at: data[n, at[-1] // lanes, *at[:-1], at[-1] % lanes],
        name="channels_last",
    )


def in_blocks(data: Any, lanes: int) -> Any:
    """Images in blocks of so many channels; as they are without."""
    from tvm import te

    if not lanes:
        return data
    batch, *spatial, channels = (int(size) for size in data.shape)
    return te.compute(
        (batch, channels // lanes, *spatial, lanes),
        lambda n, block, *at: data[n, *at[:-1], block * lanes + at[-1]],
        name="in_blocks",
    )


def convolution(
    data: Any,
    packed: Any,
    window: Window,
    features: int,
    groups: int,
    out_dtype: str,
    border: int = 0,
    lanes: int = 0,
) -> Any:
    """A convolution over packed weights.

    Args:
        data: [batch, ...spatial..., groups x channels], or in blocks.
        packed: [groups x blocks, ...taps longer than 1..., channels, width]; for data in blocks
            [blocks, channels / lanes, ...taps longer than 1..., lanes, width].
        window: of the convolution.
        features: of all groups.
        groups: each sees its own channels only.
        out_dtype: of the sums.
        border: what the padding holds.
        lanes: of a block of the result's features; 0 where they come last. With blocks there is
            one group.
    """
    from tvm import te

    width, channels = int(packed.shape[-1]), int(packed.shape[-2])
    each = features // groups
    blocks = math.ceil(each / width)
    source = padded(data, window, border)
    given = len(data.shape) - len(window.taps) - 1
    made = 2 if lanes else 1
    spatial = window.output([int(size) for size in data.shape[given:-1]])
    several = [te.reduce_axis((0, size), "channels") for size in data.shape[1:given]]
    taps = [
        te.reduce_axis((0, size), f"tap{axis}") for axis, size in enumerate(window.taps) if size > 1
    ]
    channel = te.reduce_axis((0, channels), "channel")

    def element(*index: Any) -> Any:
        feature = index[1] * lanes + index[-1] if lanes else index[-1]
        waiting = iter(taps)
        at = [
            position * stride + (next(waiting) * dilation if size > 1 else 0)
            for position, stride, dilation, size in zip(
                index[made:-1], window.strides, window.dilations, window.taps, strict=True
            )
        ]
        first, inner, block = channel, feature, None
        if groups > 1:
            first, inner = feature // each * channels + channel, feature % each
            block = feature // each * blocks
        weight = packed_element(packed, (*several, *taps), channel, inner, each, block)
        value = source[(index[0], *several, *at, first)]
        return te.sum(
            value.astype(out_dtype) * weight.astype(out_dtype), axis=[*several, *taps, channel]
        )

    return te.compute(
        (data.shape[0], *([features // lanes] if lanes else []), *spatial, lanes or features),
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
    """A depthwise convolution; the result lies as its data do.

    Args:
        data: [batch, ...spatial..., channels], or in blocks.
        weights: [...taps..., channels], or [blocks, ...taps..., lanes].
        window: of the convolution.
        out_dtype: of the sums.
        border: what the padding holds.
    """
    from tvm import te

    source = padded(data, window, border)
    first = len(data.shape) - len(window.taps) - 1
    spatial = window.output([int(size) for size in data.shape[first:-1]])
    taps = [te.reduce_axis((0, size), f"tap{axis}") for axis, size in enumerate(window.taps)]

    def element(*index: Any) -> Any:
        value = source[(*index[:first], *places(index[first:-1], taps, window), index[-1])]
        weight = weights[(*index[1:first], *taps, index[-1])]
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=taps)

    return te.compute((*data.shape[:first], *spatial, data.shape[-1]), element, name="depthwise")


def places(at: Sequence[Any], taps: Sequence[Any], window: Window) -> list[Any]:
    """Where taps of the output element at spatial indices lie in the input with its border."""
    return [
        position * stride + tap * dilation
        for position, stride, dilation, tap in zip(
            at, window.strides, window.dilations, taps, strict=True
        )
    ]
