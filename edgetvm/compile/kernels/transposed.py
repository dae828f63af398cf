"""Transposed convolutions as one convolution for each phase of the strides.

Output element `y` is reached by taps `r` with `y + before = i * stride + r`: those of one phase of
`y + before` form a convolution of their own, without a multiplication by zero for the elements that
a stride would leave out (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional
layer?").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import (
    PACKED,
    Window,
    pack,
    packed_element,
    padded,
)

# The annotation of the block that sums: the strides, one for each spatial axis.
PHASES = "edgetvm.phases"


def phase_window(
    taps: Sequence[int],
    strides: Sequence[int],
    before: Sequence[int],
    size: Sequence[int],
    out_size: Sequence[int],
) -> Window:
    """How the convolution of each phase walks over the input.

    Args:
        taps, strides, before: of the transposed convolution.
        size, out_size: spatial extents of its input and output.
    """
    each = tuple(math.ceil(k / s) for k, s in zip(taps, strides, strict=True))
    ones = (1,) * len(each)
    last = [
        math.ceil(extent / stride) - 1 + (stride - 1 + first) // stride
        for extent, stride, first in zip(out_size, strides, before, strict=True)
    ]
    return Window(
        taps=each,
        strides=ones,
        dilations=ones,
        before=tuple(t - 1 for t in each),
        after=tuple(max(0, end - extent + 1) for end, extent in zip(last, size, strict=True)),
    )


def phase_weights(
    weights: NDArray[Any], strides: Sequence[int], before: Sequence[int], width: int
) -> NDArray[Any]:
    """Weights of a transposed convolution as those of its phases, by the output's remainder.

    Args:
        weights: [channels, features, ...taps...].
        strides, before: of the transposed convolution.
        width: of packed blocks.

    Returns:
        [phases x blocks, ...taps longer than 1..., channels, width]; zeros where a phase has fewer
        taps than others.
    """
    channels, features, *extents = weights.shape
    taps = [math.ceil(k / s) for k, s in zip(extents, strides, strict=True)]
    whole = np.zeros(
        (channels, features, *(t * s for t, s in zip(taps, strides, strict=True))), weights.dtype
    )
    whole[(slice(None), slice(None), *(slice(0, k) for k in extents))] = weights
    rank = len(taps)
    pairs = [size for pair in zip(taps, strides, strict=True) for size in pair]
    split = whole.reshape(channels, features, *pairs)
    phase_axes = [3 + 2 * axis for axis in range(rank)]
    tap_axes = [2 + 2 * axis for axis in range(rank)]
    ordered = np.flip(split.transpose(*phase_axes, *tap_axes, 0, 1), tuple(range(rank, 2 * rank)))
    for axis, (stride, first) in enumerate(zip(strides, before, strict=True)):
        ordered = np.roll(ordered, -(first % stride), axis)
    kept = [size for size in taps if size > 1]
    each = ordered.reshape(-1, *kept, channels, features)
    return np.concatenate([pack(one, width) for one in each])


def transposed(
    data: Any,
    packed: Any,
    window: Window,
    strides: Sequence[int],
    before: Sequence[int],
    spatial: Sequence[int],
    features: int,
    out_dtype: str,
) -> Any:
    """The transposed convolution, channels last.

    Args:
        data: [batch, ...size..., channels].
        packed: of `phase_weights`.
        window: of `phase_window`.
        strides, before: of the transposed convolution.
        spatial: of the output.
        features: of the output.
        out_dtype: of the sums.
    """
    from tvm import te

    width, channels = int(packed.shape[-1]), int(packed.shape[-2])
    blocks = math.ceil(features / width)
    source = padded(data, window, 0)
    points = [math.ceil(size / stride) for size, stride in zip(spatial, strides, strict=True)]
    taps = [
        te.reduce_axis((0, size), f"tap{axis}") for axis, size in enumerate(window.taps) if size > 1
    ]
    channel = te.reduce_axis((0, channels), "channel")

    rank = len(strides)

    def summed(*axes: Any) -> Any:
        remainders, index = axes[:rank], axes[rank:]
        phase: Any = 0
        for one, stride in zip(remainders, strides, strict=True):
            phase = phase * stride + one
        waiting = iter(taps)
        at = [
            place + (one + first) // stride + (next(waiting) if size > 1 else 0)
            for place, one, stride, first, size in zip(
                index[1:-1], remainders, strides, before, window.taps, strict=True
            )
        ]
        value = source[(index[0], *at, channel)]
        weight = packed_element(packed, taps, channel, index[-1], features, phase * blocks)
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=[*taps, channel])

    sums = te.compute(
        (*strides, data.shape[0], *points, features),
        summed,
        name="contraction",
        attrs={PACKED: [features, width], PHASES: list(strides)},
    )

    def element(*index: Any) -> Any:
        # Axes of their own for the phases: TVM cannot take them out of a joint one again.
        remainders = [at % stride for at, stride in zip(index[1:-1], strides, strict=True)]
        places = [at // stride for at, stride in zip(index[1:-1], strides, strict=True)]
        return sums[(*remainders, index[0], *places, index[-1])]

    return te.compute((data.shape[0], *spatial, features), element, name="phases_joined")
