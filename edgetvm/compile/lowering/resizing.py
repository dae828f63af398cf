"""Resizing of pictures by linear interpolation, one axis at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from edgetvm.compile.kernels.resizing import PLACES, between, interpolated
from edgetvm.compile.layout.stored import constant, shape_of
from edgetvm.compile.lowering.site import Site


def lower_resize(site: Site, call: Any) -> Any:
    """Both axes at once would read four neighbours of each element, and find them for each."""
    attrs, data = call.attrs, call.args[0]
    shape, out_shape = shape_of(data), shape_of(call)
    mode = str(attrs.coordinate_transformation_mode)
    if (
        shape is None
        or out_shape is None
        or str(attrs.method) != "linear"
        or mode not in PLACES
        or not str(data.ty.dtype) == str(call.ty.dtype) == "float32"
    ):
        return None
    axes = [
        axis for axis, pair in enumerate(zip(shape, out_shape, strict=True)) if len({*pair}) > 1
    ]
    # What makes the tensor smaller, or least larger, comes first.
    for axis in sorted(axes, key=lambda axis: (out_shape[axis] / shape[axis], -axis)):
        found = between(shape[axis], out_shape[axis], mode)
        tables = [constant(one) for one in (found.lower, found.upper, found.share)]
        along = partial(interpolated, axis)
        made = site.builder.call_te(along, data, *tables, primfunc_name_hint="resize")
        data = site.builder.emit(made)
    return data
