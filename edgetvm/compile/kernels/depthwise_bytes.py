"""Depthwise convolutions of bytes, whose products are words: Arm multiplies bytes that way.

Two products are added in 16 bits before they go to the sums of 32 bits, which is where most of the
instructions would be. They fit unless both are (-128)^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import Window, padded

# The annotation of a block that sums words: its vectors have more lanes than sums in a register.
WORDS = "edgetvm.words"
# Taps that are written out one after the other.
_MOST_TAPS = 8


@dataclass(frozen=True)
class Taps:
    """How the taps of a window are grouped.

    Attributes:
        axis: of the window, whose taps are written out: the last longer than 1.
        size: its taps.
    """

    axis: int
    size: int

    @classmethod
    def of(cls, window: Window) -> Taps:
        """The grouping of a window."""
        long = [axis for axis, size in enumerate(window.taps) if size > 1] or [0]
        return cls(long[-1], window.taps[long[-1]])

    @property
    def each(self) -> int:
        """Taps of a group."""
        return min(self.size, _MOST_TAPS)

    @property
    def groups(self) -> int:
        """How many there are; the last lies over its neighbour where they do not divide."""
        return math.ceil(self.size / self.each)

    def packed(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Weights [...taps..., channels] as [groups, each, ...other taps..., channels]."""
        moved = np.moveaxis(weights, self.axis, 0)
        result = np.zeros((self.groups, self.each, *moved.shape[1:]), np.int8)
        for tap, one in enumerate(moved):
            group = tap // self.each
            result[group, tap - min(group * self.each, self.size - self.each)] = one
        return result


def depthwise_bytes(
    data: Any, packed: Any, window: Window, border: int, shift: int, together: int
) -> Any:
    """The sums of a depthwise convolution, channels last.

    Args:
        data: [batch, ...spatial..., channels] of 8 bits.
        packed: weights of `Taps.packed`.
        window: of the convolution.
        border: what the padding holds.
        shift: what is added to data and border to make them int8.
        together: products that are added in 16 bits.
    """
    from tvm import te

    if shift:
        source = padded(_signed(data), window, border + shift)
    else:
        source = padded(data, window, border)
    spatial = window.output([int(size) for size in data.shape[1:-1]])
    taps = Taps.of(window)
    rows = {
        axis: te.reduce_axis((0, size), f"tap{axis}")
        for axis, size in enumerate(window.taps)
        if axis != taps.axis
    }
    group = te.reduce_axis((0, taps.groups), "group")

    def element(*index: Any) -> Any:
        products = [
            source[(index[0], *_places(index, rows, taps, group, tap, window), index[-1])].astype(
                "int16"
            )
            * packed[(group, tap, *rows.values(), index[-1])].astype("int16")
            for tap in range(taps.each)
        ]
        sums = [
            _sum(products[first : first + together]).astype("int32")
            for first in range(0, taps.each, together)
        ]
        return te.sum(_sum(sums), axis=[*rows.values(), group])

    return te.compute(
        (data.shape[0], *spatial, data.shape[-1]), element, name="depthwise", attrs={WORDS: 1}
    )


def _places(
    index: Sequence[Any], rows: dict[int, Any], taps: Taps, group: Any, tap: int, window: Window
) -> list[Any]:
    """Where a tap of an output element lies in the input with its border."""
    from tvm import tirx

    start = group * taps.each
    if taps.size % taps.each:
        start = tirx.Min(start, taps.size - taps.each)
    return [
        index[1 + axis] * window.strides[axis] + rows.get(axis, start + tap) * dilation
        for axis, dilation in enumerate(window.dilations)
    ]


def _signed(data: Any) -> Any:
    """Unsigned bytes less 128."""
    from tvm import te, tirx

    return te.compute(
        data.shape,
        lambda *index: tirx.reinterpret("int8", data[index] ^ tirx.const(128, "uint8")),
        name="signed",
    )


def _sum(terms: Sequence[Any]) -> Any:
    first, *others = terms
    return sum(others, first)
