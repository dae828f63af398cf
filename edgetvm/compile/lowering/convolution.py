"""Convolutions, plain and transposed, over packed weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

import numpy as np

from edgetvm.compile.kernels.contraction import Window, convolution, depthwise, pack
from edgetvm.compile.kernels.integer import run_length
from edgetvm.compile.kernels.transposed import phase_weights, phase_window, transposed
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.lowering.integers import (
    byte_depthwise,
    bytes_of,
    dot_of,
    integer_convolution,
    with_border,
)
from edgetvm.compile.lowering.matmul import lower_matmul
from edgetvm.compile.lowering.planes import lower_planes
from edgetvm.compile.lowering.site import Extents, Site, last_two
from edgetvm.compile.lowering.winograd import winograd_convolution, winograd_costs
from edgetvm.compile.schedules.tile import block_width, choose_tile, elements_together, widths
from edgetvm.compile.schedules.work import shared_by


@dataclass(frozen=True)
class Image:
    """A tensor of images.

    Attributes:
        shape: [batch, ...spatial..., channels], however they lie.
        lanes: of a block of channels; 0 where they come last.
    """

    shape: Extents
    lanes: int

    def of_channels(self, array: Any, axis: int = -1) -> Any:
        """An array with an axis of channels as kernels read it: blocks in front where there are."""
        if not self.lanes:
            return array
        place = axis % array.ndim
        apart = (array.shape[axis] // self.lanes, self.lanes)
        blocks = array.reshape(*array.shape[:place], *apart, *array.shape[place + 1 :])
        return np.ascontiguousarray(np.moveaxis(blocks, place, 0))


def image_of(shape: Extents | None, layout: str, spatial: str) -> Image | None:
    """A tensor with channels last or in blocks; None for another layout."""
    if shape is None:
        return None
    if layout == f"N{spatial}C":
        return Image(shape, 0)
    if layout == f"NC{spatial}{shape[-1]}c":
        return Image((shape[0], *shape[2:-1], shape[1] * shape[-1]), shape[-1])
    return None


def lower_convolution(site: Site, call: Any) -> Any:
    attrs = call.attrs
    data, weights = call.args
    spatial = str(attrs.kernel_layout)[:-2]
    given = image_of(shape_of(data), str(attrs.data_layout), spatial)
    made = image_of(shape_of(call), str(attrs.out_layout) or str(attrs.data_layout), spatial)
    if (
        given is None
        or made is None
        or not is_constant(weights)
        or str(attrs.kernel_layout) != f"{spatial}IO"
    ):
        return lower_planes(site, call)
    shape, out_shape = given.shape, made.shape
    array = weights.value.numpy()
    groups, features, rank = int(attrs.groups), array.shape[-1], len(spatial)
    padding = [int(one) for one in attrs.padding]
    window = Window(
        taps=array.shape[:-2],
        strides=tuple(int(one) for one in attrs.strides),
        dilations=tuple(int(one) for one in attrs.dilation),
        before=tuple(padding[:rank]),
        after=tuple(padding[rank:]),
    )
    out_dtype = str(call.ty.dtype)
    _, length = run_length(window, array.shape[-2])
    dot = dot_of(site, data, array, length, out_shape[-2]) if groups == 1 else None
    if dot is not None:
        return integer_convolution(site, data, array, window, out_shape, dot)
    border = 0
    if not out_dtype.startswith("float"):
        data, border, before, after = with_border(site, data, window)
        window = replace(window, before=before, after=after)
    if groups == shape[-1] == features and groups > 1:
        if bytes_of(site, data, array):
            return byte_depthwise(site, data, array[..., 0, :], window, border)
        flat = constant(given.of_channels(array.reshape(*array.shape[:-2], features)))
        return site.builder.call_te(
            lambda data, weights: depthwise(data, weights, window, out_dtype, border),
            data,
            flat,
            primfunc_name_hint="depthwise_conv",
        )
    profile = site.profile.counted_in(out_dtype)
    costs = winograd_costs(
        window, shape, out_shape, groups, out_dtype, site.winograd, profile.vector_lanes
    )
    edge = 0
    if costs:
        cheapest = min(costs, key=lambda step: costs[step])
        edge = site.decisions.choose("winograd", sorted(costs), cheapest)
    if edge:
        return winograd_convolution(site, data, array, window, out_shape, edge, made.lanes)
    work = math.prod(out_shape) * math.prod(array.shape[:-1])
    together = elements_together(array.shape[-2], profile)
    points = last_two(out_shape[1:-1])
    width = block_width(
        features // groups,
        *points,
        math.prod(out_shape[:1]) * math.prod(out_shape[1:-3]) * groups,
        profile,
        shared_by(work, profile),
        together=together,
        lanes=made.lanes,
    )
    if not made.lanes:
        possible = widths(features // groups, *points, profile, together=together)
        width = site.decisions.choose("packing", possible, width)
    kept = [size for size in window.taps if size > 1]
    each = np.split(array.reshape(*kept, *array.shape[-2:]), groups, axis=-1)
    packed = constant(np.concatenate([pack(given.of_channels(one, -2), width) for one in each]))
    return site.builder.call_te(
        lambda data, packed: convolution(
            data, packed, window, features, groups, out_dtype, border, made.lanes
        ),
        data,
        packed,
        primfunc_name_hint="conv",
    )


# Features that fill no more than a quarter of a vector are few.
_FEW = 4


def _patches(site: Site, data: Any, shape: Extents, weights: Any) -> Any:
    """A transposed convolution whose taps do not overlap: each point becomes a patch.

    A patch has more features than the output, whose few would leave most of a vector empty.
    """
    from tvm import relax

    emit, op = site.builder.emit, relax.op
    channels, features, *taps = weights.shape
    batch, *size, _ = shape
    rank = len(taps)
    points = emit(op.reshape(data, [batch * math.prod(size), channels]))
    flat = constant(np.moveaxis(weights, 1, -1).reshape(channels, -1))
    sums = emit(lower_matmul(site, site.builder.normalize(op.matmul(points, flat))))
    patches = emit(op.reshape(sums, [batch, *size, *taps, features]))
    turns = [axis for at in range(1, rank + 1) for axis in (at, rank + at)]
    rows = emit(op.permute_dims(patches, [0, *turns, 2 * rank + 1]))
    return op.reshape(rows, [batch, *map(mul, size, taps), features])


def lower_transposed(site: Site, call: Any) -> Any:
    attrs = call.attrs
    data, weights = call.args
    layout = str(attrs.data_layout)
    shape, out_shape = shape_of(data), shape_of(call)
    spatial = layout[1:-1]
    if (
        shape is None
        or out_shape is None
        or not is_constant(weights)
        or layout != f"N{spatial}C"
        or str(attrs.kernel_layout) != f"IO{spatial}"
        or int(attrs.groups) != 1
    ):
        return None
    array = weights.value.numpy()
    strides = tuple(int(one) for one in attrs.strides)
    before = tuple(int(one) for one in attrs.padding)[: len(spatial)]
    window = phase_window(array.shape[2:], strides, before, shape[1:-1], out_shape[1:-1])
    features = array.shape[1]
    whole = tuple(map(mul, shape[1:-1], strides))
    if array.shape[2:] == strides and out_shape[1:-1] == whole and not any(before):
        few = features * _FEW <= site.profile.vector_lanes
        if few and str(call.ty.dtype).startswith("float"):
            return _patches(site, data, shape, array)
    points = tuple(math.ceil(n / s) for n, s in zip(out_shape[1:-1], strides, strict=True))
    phases = math.prod(strides)
    work = (
        phases * shape[0] * math.prod(points) * math.prod(window.taps) * math.prod(array.shape[:2])
    )
    out_dtype = str(call.ty.dtype)
    profile = site.profile.counted_in(out_dtype)
    cores = shared_by(work, profile)
    tile = choose_tile(features, *last_two(points), phases * shape[0], profile, cores)
    packed = constant(phase_weights(array, strides, before, tile.width))
    size = out_shape[1:-1]
    return site.builder.call_te(
        lambda data, packed: transposed(
            data, packed, window, strides, before, size, features, out_dtype
        ),
        data,
        packed,
        primfunc_name_hint="conv_transpose",
    )
