"""Matrix products with constant weights."""

from __future__ import annotations

import math
from typing import Any

from edgetvm.compile.kernels.contraction import pack, product
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.lowering.integers import dot_of, integer_product
from edgetvm.compile.lowering.site import Site, last_two
from edgetvm.compile.schedules.tile import choose_tile, elements_together, widths
from edgetvm.compile.schedules.work import shared_by


def lower_matmul(site: Site, call: Any) -> Any:
    data, weights = call.args
    shape, out_shape = shape_of(data), shape_of(call)
    if shape is None or out_shape is None or not is_constant(weights) or len(shape) < 2:
        return None
    array = weights.value.numpy()
    if array.ndim > 2 and math.prod(array.shape[:-2]) == 1 and array.ndim <= len(shape):
        array = array.reshape(array.shape[-2:])
    if array.ndim != 2:
        return None
    features = array.shape[-1]
    work = math.prod(out_shape) * array.shape[0]
    rows = (1, *out_shape[:-1])
    dot = dot_of(site, data, array, shape[-1], shape[-2])
    if dot is not None:
        return integer_product(site, data, array, shape, dot)
    out_dtype = str(call.ty.dtype)
    profile = site.profile.counted_in(out_dtype)
    together = elements_together(array.shape[0], profile)
    points = last_two(rows)
    tile = choose_tile(
        features,
        *points,
        math.prod(rows[:-2]),
        profile,
        shared_by(work, profile, math.prod(rows)),
        together=together,
    )
    possible = widths(features, *points, profile, together=together)
    width = site.decisions.choose("packing", possible, tile.width)
    packed = constant(pack(array, width))
    return site.builder.call_te(
        lambda data, packed: product(data, packed, features, out_dtype),
        data,
        packed,
        primfunc_name_hint="matmul",
    )
