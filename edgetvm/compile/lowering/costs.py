"""What a convolution costs with its channels last, first, and in blocks.

In multiply-adds of whole vectors, of all cores together, as `edgetvm.compile.schedules.tile` counts
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import Window
from edgetvm.compile.kernels.planes import is_ready
from edgetvm.compile.layout.choice import Cost
from edgetvm.compile.layout.stored import is_constant, shape_of
from edgetvm.compile.lowering.planes import are_joined, planes_width
from edgetvm.compile.lowering.winograd import winograd_costs
from edgetvm.compile.schedules.tile import choose_tile, covered, power_of_two, tile_cost
from edgetvm.compile.schedules.work import shared_by

# An element moved, of a tensor that is permuted or made ready: measured on Zen 4, where permuting
# takes 0.2 ns an element and a multiply-add of a vector 0.25 ns.
MOVE = 0.8
# Of the time with channels last, measured on Zen 5 with AVX-512 and AVX2.
# Depthwise: 0.2 to 1, least where a pixel's channels are a power of two.
_DEPTHWISE_IN_BLOCKS = 0.85
# 3x3, and strided.
_WINDOWS_IN_BLOCKS = 1.2
# Pointwise, where a tile holds one pixel: each block of it is a part of another line of the cache.
_PIXELS_IN_BLOCKS = 1.5


@dataclass(frozen=True)
class Convolution:
    """A convolution of float32, whatever the order of its axes.

    Attributes:
        batch, channels, features, groups: of it.
        size: spatial extents of the input.
        window: that walks over it.
    """

    batch: int
    channels: int
    features: int
    groups: int
    size: tuple[int, ...]
    window: Window

    @property
    def output(self) -> tuple[int, ...]:
        """Spatial extents of the output."""
        return self.window.output(self.size)

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is summed by itself."""
        return self.groups == self.channels == self.features and self.groups > 1

    @property
    def depth(self) -> int:
        """Products of one sum."""
        return self.channels // self.groups * math.prod(self.window.taps)

    @property
    def work(self) -> int:
        """Multiply-adds."""
        return self.batch * self.features * math.prod(self.output) * self.depth

    @property
    def elements(self) -> tuple[int, int]:
        """Of input and output."""
        return (
            self.batch * self.channels * math.prod(self.size),
            self.batch * self.features * math.prod(self.output),
        )


def convolution_of(call: Any) -> Convolution | None:
    """A call's convolution; None where its costs are not known."""
    attrs = call.attrs
    shape, weights = shape_of(call.args[0]), shape_of(call.args[1])
    layout, kernel = str(attrs.data_layout), str(attrs.kernel_layout)
    if shape is None or weights is None or "transpose" in call.op.name:
        return None
    if str(call.ty.dtype) != "float32" or len(layout) > 4:
        return None
    padding = [int(one) for one in attrs.padding]
    spatial = layout.replace("N", "").replace("C", "")
    rank = len(spatial)
    return Convolution(
        batch=shape[layout.index("N")],
        channels=shape[layout.index("C")],
        features=weights[kernel.index("O")],
        groups=int(attrs.groups),
        size=tuple(shape[layout.index(letter)] for letter in spatial),
        window=Window(
            taps=tuple(weights[kernel.index(letter)] for letter in spatial),
            strides=tuple(int(one) for one in attrs.strides),
            dilations=tuple(int(one) for one in attrs.dilation),
            before=tuple(padding[:rank]),
            after=tuple(padding[rank:]),
        ),
    )


def cost_channels_last(
    one: Convolution, profile: BoardProfile, winograd: int, dtype: str = "float32"
) -> float:
    """Of the kernels of `edgetvm.compile.lowering.convolution`.

    Args:
        one: the convolution.
        profile: of the board, counted in elements of that type.
        winograd: largest edge of output tiles; 0 for the direct form only.
        dtype: in which it will be computed.
    """
    if one.is_depthwise:
        lanes = min(profile.vector_lanes, power_of_two(one.channels))
        vectors = covered(one.channels, lanes) // lanes
        return one.batch * math.prod(one.output) * one.depth * vectors
    shape = (one.batch, *one.size, one.channels)
    out_shape = (one.batch, *one.output, one.features)
    costs = winograd_costs(
        one.window, shape, out_shape, one.groups, dtype, winograd, profile.vector_lanes
    )
    if min(costs, key=lambda edge: costs[edge], default=0):
        return min(costs.values()) / profile.vector_lanes
    whole = (1, 1, *one.output)
    each, outer = one.features // one.groups, one.batch * one.groups
    known = (each, whole[-2], whole[-1], outer, profile, shared_by(one.work, profile))
    return tile_cost(choose_tile(*known), *known)[0] * one.depth


def factor_of_blocks(one: Convolution, profile: BoardProfile) -> float:
    """How many times as long it takes to read channels in blocks as to read them last.

    See the figures in docs/architecture.md.
    """
    if one.is_depthwise:
        return _DEPTHWISE_IN_BLOCKS
    if set(one.window.taps) != {1} or set(one.window.strides) != {1} or one.groups > 1:
        return _WINDOWS_IN_BLOCKS
    cores = shared_by(one.work, profile)
    tile = choose_tile(one.features, 1, math.prod(one.output), one.batch, profile, cores)
    return _PIXELS_IN_BLOCKS if tile.columns == 1 else 1.0


def cost_channels_first(one: Convolution, profile: BoardProfile) -> float:
    """Of the kernels of `edgetvm.compile.lowering.planes`."""
    cores = shared_by(one.work, profile)
    joined = are_joined(one.window, one.size, one.channels // one.groups, profile)
    each = one.features // one.groups
    width = planes_width(one.window, (one.batch, one.channels, *one.size), each, one.groups,
                         joined, profile)  # fmt: skip
    rows, pixels = math.prod(one.output[:-1]), one.output[-1]
    if joined:
        rows, pixels = 1, rows * pixels
    known = (pixels, 1, each, one.batch * one.groups * rows, profile, cores)
    sums = tile_cost(choose_tile(*known, across=width), *known)[0] * one.depth
    given, made = one.elements
    moved = (0 if is_ready(one.window) else given) + (made if joined else 0)
    return sums + MOVE * moved


def convolution_costs(
    profile: BoardProfile, winograd: int, dtype: str = "float32"
) -> Callable[[Any], Cost | None]:
    """From a call to its costs.

    Args:
        profile: of the board.
        winograd: largest edge of output tiles; 0 for the direct form only.
        dtype: in which convolutions of float32 will be computed.
    """
    profile = profile.counted_in(dtype)

    def costs(call: Any) -> Cost | None:
        if not is_constant(call.args[1]):
            return None
        one = convolution_of(call)
        if one is None:
            return None
        last = cost_channels_last(one, profile, winograd, dtype)
        blocks = last * factor_of_blocks(one, profile) if len(one.size) == 2 else math.inf
        return Cost(last, cost_channels_first(one, profile), blocks, MOVE)

    return costs
