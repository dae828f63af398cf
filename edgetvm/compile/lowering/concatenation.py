"""Concatenations as kernels that say what they are: where memory is shared, they are not called."""

from __future__ import annotations

from typing import Any

from edgetvm.compile.layout.stored import shape_of
from edgetvm.compile.lowering.site import Site

# The attribute of a kernel that only joins its inputs: along which axis.
JOINED = "edgetvm.joined_along"

# TVM's `kOpaque`: what is fused with nothing.
_OPAQUE = 8
_VIEWS = frozenset(f"relax.{name}" for name in ("reshape", "squeeze", "expand_dims", "flatten"))


def lower_concatenation(site: Site, call: Any) -> Any:
    """TVM's own loops, with the axis noted.

    Where most parts can be written in place, they are not fused with what makes or takes them.
    """
    from tvm import relax, topi

    shape = shape_of(call)
    if shape is None or not isinstance(call.args[0], relax.Tuple) or call.attrs.axis is None:
        return None
    parts, axis = list(call.args[0].fields), int(call.attrs.axis) % len(shape)
    made = {part for part in parts if isinstance(part, relax.Var) and _is_made(site, part)}
    there = sum(int(part.ty.shape[axis]) for part in made)
    attributes = {JOINED: axis}
    if 2 * there >= shape[axis]:
        attributes["op_pattern"] = _OPAQUE
    return site.builder.call_te(
        topi.concatenate,
        parts,
        axis,
        primfunc_name_hint="concatenate",
        primfunc_attrs=attributes,
    )


def _is_made(site: Site, part: Any) -> bool:
    """Whether a kernel of its own may make a part."""
    from tvm import relax

    value = site.builder.lookup_binding(part)
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") not in _VIEWS
