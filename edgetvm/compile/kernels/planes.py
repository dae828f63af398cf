"""Convolutions over planes: channels first, vectors along a row of pixels.

Weights are [block][channel][...taps...][feature in block]: the features of one tile, whose weights
are broadcast in turn, lie behind one another. What vectors read is made contiguous first: a border
is put round the planes, the columns of each phase of a stride get a plane of their own, and where
rows are shorter than vectors they are joined, so that a vector goes on into the next row. Pixels of
the border that are computed on the way are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import Window

# The annotation of a block that sums over packed weights: the features of a block.
POINTS = "edgetvm.points"
# The annotation of a block that is computed before the one that reads it, not within it.
STAGED = "edgetvm.staged"


@dataclass(frozen=True)
class Source:
    """The input as it is read.

    Attributes:
        tensor: [batch, channels, ...].
        place: from an output pixel and taps to the indices behind channels.
        pitch: elements from one row to the next where rows are joined; else 0.
    """

    tensor: Any
    place: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
    pitch: int = 0


def pack_points(weights: NDArray[Any], width: int) -> NDArray[Any]:
    """[features, channels, ...taps] to [blocks, channels, ...taps, width], which divides them."""
    blocks = weights.reshape(len(weights) // width, width, *weights.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1))


def planes_convolution(
    data: Any,
    packed: Any,
    window: Window,
    size: Sequence[int],
    features: int,
    groups: int,
    joined: bool,
    dtype: str,
) -> Any:
    """A convolution, channels first.

    Args:
        data: [batch, groups x channels, ...spatial...], the spatial axes as one where `joined` and
            nothing has to be made ready.
        packed: of `pack_points`; the width divides the features of a group.
        window: of the convolution.
        size: the input's spatial extents.
        features: of all groups.
        groups: each sees its own channels only.
        joined: whether rows are.
        dtype: of the sums.
    """
    from tvm import te

    spatial = window.output(size)
    width, channels = int(packed.shape[-1]), int(packed.shape[1])
    each = features // groups
    source = source_of(data, window, size, joined)
    taps = [te.reduce_axis((0, extent), f"tap{at}") for at, extent in enumerate(window.taps)]
    channel = te.reduce_axis((0, channels), "channel")
    pixels = ((spatial[0] - 1) * source.pitch + spatial[1],) if source.pitch else spatial
    split = groups > 1 and each > 1
    rank = len(pixels)

    def element(*index: Any) -> Any:
        group = index[1] if groups > 1 else 0
        feature = index[2] if split else index[1] if groups == 1 else 0
        block = group * (each // width) + feature // width
        at = source.place(index[-rank:], taps)
        value = source.tensor[(index[0], group * channels + channel, *at)]
        weight = packed[(block, channel, *taps, feature % width)]
        return te.sum(value.astype(dtype) * weight.astype(dtype), axis=[channel, *taps])

    outer = (groups, each) if split else (features,)
    sums = te.compute(
        (data.shape[0], *outer, *pixels),
        element,
        name="contraction",
        attrs={POINTS: width} if each > 1 else {},
    )
    if not split and not source.pitch:
        return sums

    def place(batch: Any, feature: Any, *pixel: Any) -> Any:
        which = (feature // each, feature % each) if split else (feature,)
        where = (pixel[0] * source.pitch + pixel[1],) if source.pitch else pixel
        return sums[(batch, *which, *where)]

    return te.compute((data.shape[0], features, *spatial), place, name="planes")


def is_ready(window: Window) -> bool:
    """Whether the input can be read as it lies."""
    return not any((*window.before, *window.after)) and all(one == 1 for one in window.strides)


def source_of(data: Any, window: Window, size: Sequence[int], joined: bool) -> Source:
    """The input made ready: see the module.

    Args:
        data, window, size, joined: see `planes_convolution`; no column that is strided can be
            joined, but of a window of one element.
    """
    spatial, stride = window.output(size), window.strides[-1]
    reach = [(taps - 1) * step for taps, step in zip(window.taps, window.dilations, strict=True)]

    def steps(taps: Sequence[Any]) -> list[Any]:
        return [tap * dilation for tap, dilation in zip(taps, window.dilations, strict=True)]

    if is_ready(window):
        whole, tensor = tuple(size), data
    elif not any(reach):
        # Of a window of one element, only what it falls on is kept.
        whole = spatial
        tensor = _staged(data, window, size, whole, joined, _strided(window))
    elif stride > 1:
        rows = [
            (extent - 1) * step + far + 1
            for extent, step, far in zip(spatial, window.strides, reach, strict=True)
        ][:-1]
        shape = (*rows, stride, spatial[-1] + reach[-1] // stride)
        tensor = _staged(
            data, window, size, shape, False, lambda *at: (*at[:-2], at[-1] * stride + at[-2])
        )

        def apart(pixel: Sequence[Any], taps: Sequence[Any]) -> list[Any]:
            *down, across = steps(taps)
            rows = [
                at * step + tap
                for at, step, tap in zip(pixel[:-1], window.strides[:-1], down, strict=True)
            ]
            return [*rows, across % stride, pixel[-1] + across // stride]

        return Source(tensor, apart)
    else:
        whole = tuple(
            extent + before + after
            for extent, before, after in zip(size, window.before, window.after, strict=True)
        )
        tensor = _staged(data, window, size, whole, joined, lambda *at: at)
    if joined:
        pitch = whole[-1]

        def along(pixel: Sequence[Any], taps: Sequence[Any]) -> list[Any]:
            down, across = steps(taps)
            return [pixel[0] + down * pitch + across]

        return Source(tensor, along, pitch)
    strides = (1,) * len(size) if not any(reach) else window.strides

    def beside(pixel: Sequence[Any], taps: Sequence[Any]) -> list[Any]:
        return [
            at * stride + tap for at, stride, tap in zip(pixel, strides, steps(taps), strict=True)
        ]

    return Source(tensor, beside)


def _strided(window: Window) -> Callable[..., tuple[Any, ...]]:
    return lambda *at: tuple(one * stride for one, stride in zip(at, window.strides, strict=True))


def _staged(
    data: Any,
    window: Window,
    size: Sequence[int],
    shape: tuple[int, ...],
    joined: bool,
    position: Callable[..., Sequence[Any]],
) -> Any:
    """The bordered input, its elements at those positions."""
    from tvm import te, tirx

    def element(batch: Any, channel: Any, *index: Any) -> Any:
        if joined:
            index = (index[0] // shape[-1], index[0] % shape[-1])
        places, tests = [], []
        for at, extent, before in zip(position(*index), size, window.before, strict=True):
            places.append(at - before)
            tests += [at >= before, at < extent + before]
        value = data[(batch, channel, *places)]
        return tirx.if_then_else(tirx.all(*tests), value, tirx.const(0, data.dtype))

    extents = (math.prod(shape),) if joined else shape
    return te.compute((*data.shape[:2], *extents), element, name="source", attrs={STAGED: 1})
