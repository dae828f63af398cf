"""Concatenations as kernels that say what they are: memory planning has no need of most of them."""

from __future__ import annotations

from typing import Any

from edgetvm.compile.layout.stored import shape_of
from edgetvm.compile.lowering.site import Site

# The attribute of a kernel that only joins its inputs: along which axis.
JOINED = "edgetvm.joined_along"


def lower_concatenation(site: Site, call: Any) -> Any:
    """TVM's own loops, with the axis noted."""
    from tvm import relax, topi

    shape = shape_of(call)
    if shape is None or not isinstance(call.args[0], relax.Tuple) or call.attrs.axis is None:
        return None
    axis = int(call.attrs.axis) % len(shape)
    return site.builder.call_te(
        topi.concatenate,
        list(call.args[0].fields),
        axis,
        primfunc_name_hint="concatenate",
        primfunc_attrs={JOINED: axis},
    )
