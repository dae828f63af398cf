"""Which 3x3 convolutions take Winograd's form, and that form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import Window, channels_last, in_blocks
from edgetvm.compile.kernels.winograd import TRANSFORMS, Transform, transformed, winograd
from edgetvm.compile.layout.stored import constant
from edgetvm.compile.lowering.site import Extents, Site
from edgetvm.compile.schedules.tile import choose_tile, covered, elements_together
from edgetvm.compile.schedules.work import shared_by

# With fewer channels the transforms cost more than what they save.
_LEAST_CHANNELS = 16
# In multiply-adds: an element that is transformed, and a weight that comes from memory. Both were
# measured on Zen 5.
_TRANSFORM = 10
_WEIGHT = 10
# Of level 2, what transformed tiles may take: weights and outputs pass through it too.
_SHARE = 0.6
# Transformed tiles are written once and read once.
_PASSES = 2
# Edge of the largest output tiles that a type bears: the larger, the larger the constants that its
# transforms multiply with, and with them what rounding does. float16 has no bits to give away.
_LARGEST = {"float32": 4, "float16": 2}


def winograd_costs(
    window: Window,
    shape: Extents,
    out_shape: Extents,
    groups: int,
    dtype: str,
    largest: int,
    lanes: int,
) -> dict[int, float]:
    """What each edge costs, and, as 0, the direct form; empty where only that is possible.

    In multiply-adds of a tile's elements: additions of the transforms, and what their tensors and
    the weights cost on the way through the caches.

    Args:
        window: of the convolution.
        shape, out_shape: of data and result, channels last.
        groups: of channels.
        dtype: of the result.
        largest: edge that may be taken.
        lanes: of a vector.
    """
    three = window.taps == (3, 3) and window.strides == (1, 1) and window.dilations == (1, 1)
    if not three or groups != 1 or dtype not in _LARGEST:
        return {}
    if min(shape[-1], out_shape[-1]) < _LEAST_CHANNELS:
        return {}
    channels, features = shape[-1], covered(out_shape[-1], lanes)
    costs = {0: 9.0 * channels * features * (math.prod(out_shape[1:3]) + _WEIGHT)}
    for step, transform in TRANSFORMS.items():
        if step > min(largest, _LARGEST[dtype]) or min(out_shape[1:3]) < step:
            continue
        tiles = math.prod(math.ceil(size / step) for size in out_shape[1:3])
        transforms = _TRANSFORM * (covered(channels, lanes) + features)
        each = tiles * (channels * features + transforms) + _WEIGHT * channels * features
        costs[step] = float(transform.edge**2 * each)
    return costs


def strip_of(
    channels: int,
    features: int,
    size: tuple[int, int],
    transform: Transform,
    dtype: str,
    profile: BoardProfile,
    sharing: int,
) -> int:
    """How many rows of tiles are computed at once: as many as stay in a core's level 2.

    All of them where the weights, which each strip reads anew, are more than what that saves. Each
    of several cores takes as many strips as the others where that can be: it reads what it wrote
    itself, and all wait for each other once, not after each step.

    Args:
        channels, features: of the convolution.
        size: height and width of the output.
        transform: of the tiles.
        dtype: of the elements.
        profile: of the board.
        sharing: cores that share the kernel.
    """
    down, across = (math.ceil(extent / transform.outputs) for extent in size)
    tile_bytes = np.dtype(dtype).itemsize * transform.edge**2
    row_bytes = tile_bytes * across * (channels + features)
    cores = profile.cores if profile.cache.l2_shared else 1
    most = max(1, int(_SHARE * profile.cache.l2_bytes) // cores // row_bytes)
    strips = [one for one in range(1, min(down, most) + 1) if down % one == 0]
    strip = max([one for one in strips if down // one % sharing == 0] or strips)
    read_again = (down // strip - 1) * tile_bytes * channels * features
    return strip if read_again <= _PASSES * down * row_bytes else down


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
    features, size = out_shape[-1], (out_shape[1], out_shape[2])
    tiles = out_shape[0] * math.prod(math.ceil(extent / edge) for extent in size)
    work = tiles * transform.edge**2 * array.shape[-2] * features
    dtype = str(data.ty.dtype)
    profile = site.profile.counted_in(dtype)
    cores = shared_by(work, profile)
    together = elements_together(array.shape[-2], profile)
    tile = choose_tile(
        features, transform.edge, tiles, transform.edge, profile, cores, together=together
    )
    strip = strip_of(array.shape[-2], features, size, transform, dtype, site.profile, cores)
    weights = constant(transformed(array, transform, tile.width))
    before = (window.before[0], window.before[1])
    call = site.builder.call_te(
        lambda data, weights: in_blocks(
            winograd(channels_last(data), weights, features, transform, before, size, strip), lanes
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
