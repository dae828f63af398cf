"""Convolutions whose channels come first."""

from __future__ import annotations

import math
from typing import Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import Window
from edgetvm.compile.kernels.planes import is_ready, pack_points, planes_convolution
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.lowering.site import Site
from edgetvm.compile.schedules.tile import (
    choose_tile,
    covered,
    power_of_two,
    tile_cost,
)
from edgetvm.compile.schedules.work import shared_by

# Rows are joined where that divides the vectors' work by so much: it costs a pass over the output,
# which is little beside the sums, but for one input channel a feature.
_WORTH_JOINING = 1.2
_WORTH_JOINING_DEPTHWISE = 2.5


def lower_planes(site: Site, call: Any) -> Any:
    """Channels first: features x pixels of a row in registers."""
    from tvm import relax

    attrs = call.attrs
    data, weights = call.args
    layout = str(attrs.data_layout)
    shape, out_shape = shape_of(data), shape_of(call)
    spatial = layout[2:]
    if (
        shape is None
        or out_shape is None
        or not is_constant(weights)
        or len(spatial) > 2
        or layout != f"NC{spatial}"
        or str(attrs.kernel_layout) != f"OI{spatial}"
        or str(attrs.out_layout) not in ("", layout)
        or not str(call.ty.dtype).startswith("float")
    ):
        return None
    array = weights.value.numpy()
    features, groups, rank = len(array), int(attrs.groups), len(spatial)
    padding = [int(one) for one in attrs.padding]
    window = Window(
        taps=array.shape[2:],
        strides=tuple(int(one) for one in attrs.strides),
        dilations=tuple(int(one) for one in attrs.dilation),
        before=tuple(padding[:rank]),
        after=tuple(padding[rank:]),
    )
    size, dtype = shape[2:], str(call.ty.dtype)
    profile = site.profile.counted_in(dtype)
    joined = are_joined(window, size, array.shape[1], profile)
    width = planes_width(window, shape, features // groups, groups, joined, profile)
    if joined and is_ready(window):
        flat = [*shape[:2], math.prod(size)]
        data = site.builder.emit(relax.op.reshape(data, flat))
    packed = constant(pack_points(array, width))
    return site.builder.call_te(
        lambda data, packed: planes_convolution(
            data, packed, window, size, features, groups, joined, dtype
        ),
        data,
        packed,
        primfunc_name_hint="conv_planes",
    )


def are_joined(window: Window, size: tuple[int, ...], channels: int, profile: BoardProfile) -> bool:
    """Whether rows are joined.

    Args:
        window: of the convolution.
        size: spatial extents of the input.
        channels: that each feature sees.
        profile: of the board.
    """
    worth = _WORTH_JOINING if channels > 1 else _WORTH_JOINING_DEPTHWISE
    return _joining(window, size, profile.vector_lanes) > worth


def _joining(window: Window, size: tuple[int, ...], lanes: int) -> float:
    """By how much the vectors' work is divided where rows are joined; 0 where they cannot be."""
    if len(size) != 2:
        return 0.0
    row = window.output(size)[-1]
    single = all(one == 1 for one in window.taps)
    if not single and any(one != 1 for one in window.strides):
        return 0.0
    pitch = row if single else size[-1] + window.before[-1] + window.after[-1]
    vector = min(lanes, power_of_two(row))
    alone = covered(row, vector) * lanes / vector
    return alone / pitch


def planes_width(
    window: Window,
    shape: tuple[int, ...],
    each: int,
    groups: int,
    joined: bool,
    profile: BoardProfile,
) -> int:
    """The features of a tile: the divisor of a group's that costs least.

    Args:
        window: of the convolution.
        shape: of the input.
        each, groups: features of a group, and how many groups.
        joined: whether rows are.
        profile: of the board.
    """
    rows = math.prod(window.output(shape[2:])[:-1])
    pixels = window.output(shape[2:])[-1]
    if joined:
        rows, pixels = 1, rows * pixels
    outer = shape[0] * groups * rows
    work = outer * pixels * each * shape[1] // groups * math.prod(window.taps)
    cores = shared_by(work, profile)

    def cost(width: int) -> tuple[float, int]:
        tile = choose_tile(pixels, 1, each, outer, profile, cores, across=width)
        return tile_cost(tile, pixels, 1, each, outer, profile, cores)

    return min((one for one in range(1, min(each, 28) + 1) if each % one == 0), key=cost)
