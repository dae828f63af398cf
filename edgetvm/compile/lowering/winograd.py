"""Which 3x3 convolutions take Winograd's form, and that form."""

from __future__ import annotations

import math
from typing import Any

from edgetvm.compile.kernels.contraction import Window, channels_last, in_blocks
from edgetvm.compile.kernels.winograd import TRANSFORMS, transformed, winograd
from edgetvm.compile.layout.stored import constant
from edgetvm.compile.lowering.site import Extents, Site
from edgetvm.compile.schedules.tile import choose_tile, elements_together
from edgetvm.compile.schedules.work import shared_by

# Edge of the largest output tiles that a type bears: the larger, the larger the constants that its
# transforms multiply with, and with them what rounding does. float16 has no bits to give away.
_LARGEST = {"float32": 4, "float16": 2}


def winograd_edge(
    window: Window, shape: Extents, out_shape: Extents, groups: int, dtype: str, largest: int
) -> int:
    """The edge of output tiles with which Winograd's form costs least; 0 where the direct one does.

    Arguments as for `winograd_costs`.
    """
    costs = winograd_costs(window, shape, out_shape, groups, dtype, largest)
    return min(costs, key=lambda step: costs[step], default=0)


def winograd_costs(
    window: Window, shape: Extents, out_shape: Extents, groups: int, dtype: str, largest: int
) -> dict[int, float]:
    """What each edge costs, and, as 0, the direct form; empty where only that is possible.

    In multiply-adds of a tile's elements: additions of the transforms, and what their tensors cost
    on the way through the caches.

    Args:
        window: of the convolution.
        shape, out_shape: of data and result, channels last.
        groups: of channels.
        dtype: of the result.
        largest: edge that may be taken.
    """
    three = window.taps == (3, 3) and window.strides == (1, 1) and window.dilations == (1, 1)
    if not three or groups != 1 or dtype not in _LARGEST:
        return {}
    channels, features = shape[-1], out_shape[-1]
    if min(channels, features) < 16 or math.gcd(channels, 16) < 4:
        return {}
    costs = {0: 9.0 * channels * features * math.prod(out_shape[1:3])}
    for step, transform in TRANSFORMS.items():
        if step > min(largest, _LARGEST[dtype]) or min(out_shape[1:3]) < step:
            continue
        tiles = math.prod(math.ceil(size / step) for size in out_shape[1:3])
        elements = transform.edge**2
        each = elements * (channels * features + 10 * (channels + features))
        costs[step] = float(tiles * each)
    return costs


def winograd_convolution(
    site: Site,
    data: Any,
    array: Any,
    window: Window,
    out_shape: Extents,
    edge: int,
    lanes: int,
) -> Any:
    """The call of the kernel, whose result has blocks of so many features; 0 for features last."""
    transform = TRANSFORMS[edge]
    features, size = out_shape[-1], out_shape[1:3]
    tiles = out_shape[0] * math.prod(math.ceil(extent / edge) for extent in size)
    work = tiles * transform.edge**2 * array.shape[-2] * features
    profile = site.profile.counted_in(str(data.ty.dtype))
    cores = shared_by(work, profile)
    together = elements_together(array.shape[-2], profile)
    tile = choose_tile(
        features, transform.edge, tiles, transform.edge, profile, cores, together=together
    )
    weights = constant(transformed(array, transform, tile.width))
    before = (window.before[0], window.before[1])
    call = site.builder.call_te(
        lambda data, weights: in_blocks(
            winograd(channels_last(data), weights, features, transform, before, size), lanes
        ),
        data,
        weights,
        primfunc_name_hint="conv_winograd",
    )
    return _fusible(site.builder, call)


def _fusible(builder: Any, call: Any) -> Any:
    """The call of a kernel that element-wise ones may follow, though TVM cannot see that."""
    variable = call.args[0]
    kernel = builder.get()[variable]
    builder.update_func(variable, kernel.with_attr("op_pattern", 4))
    return call
