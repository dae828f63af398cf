"""Convolutions, plain and transposed, over packed weights."""

from __future__ import annotations

import math
from dataclasses import replace
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
from edgetvm.compile.lowering.planes import lower_planes
from edgetvm.compile.lowering.site import Site, last_two
from edgetvm.compile.lowering.winograd import winograd_convolution, winograd_edge
from edgetvm.compile.schedules.tile import choose_tile, elements_together
from edgetvm.compile.schedules.work import shared_by


def lower_convolution(site: Site, call: Any) -> Any:
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
        or str(attrs.kernel_layout) != f"{spatial}IO"
        or str(attrs.out_layout) not in ("", layout)
    ):
        return lower_planes(site, call)
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
    dot = dot_of(site, data, array, length) if groups == 1 else None
    if dot is not None:
        return integer_convolution(site, data, array, window, out_shape, dot)
    border = 0
    if not out_dtype.startswith("float"):
        data, border, before, after = with_border(site, data, window)
        window = replace(window, before=before, after=after)
    if groups == shape[-1] == features and groups > 1:
        if bytes_of(site, data, array):
            return byte_depthwise(site, data, array[..., 0, :], window, border)
        flat = constant(array.reshape(*array.shape[:-2], features))
        return site.builder.call_te(
            lambda data, weights: depthwise(data, weights, window, out_dtype, border),
            data,
            flat,
            primfunc_name_hint="depthwise_conv",
        )
    edge = winograd_edge(window, shape, out_shape, groups, out_dtype, site.winograd)
    if edge:
        return winograd_convolution(site, data, array, window, out_shape, edge)
    work = math.prod(out_shape) * math.prod(array.shape[:-1])
    profile = site.profile.counted_in(out_dtype)
    tile = choose_tile(
        features // groups,
        *last_two(out_shape[1:-1]),
        math.prod(out_shape[:1]) * math.prod(out_shape[1:-3]) * groups,
        profile,
        shared_by(work, profile),
        together=elements_together(array.shape[-2], profile) if groups == 1 else 1,
    )
    kept = [size for size in window.taps if size > 1]
    each = np.split(array.reshape(*kept, *array.shape[-2:]), groups, axis=-1)
    packed = constant(np.concatenate([pack(one, tile.width) for one in each]))
    return site.builder.call_te(
        lambda data, packed: convolution(data, packed, window, features, groups, out_dtype, border),
        data,
        packed,
        primfunc_name_hint="conv",
    )


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
