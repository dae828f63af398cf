"""Operators that only move elements, done on 8-bit integers rather than on what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgetvm.compile.integers.matching import Dequantised, Matcher

# Operators whose first operand alone is data.
_OF_ONE = """
reshape permute_dims expand_dims squeeze flatten broadcast_to strided_slice take tile repeat
flip nn.max_pool1d nn.max_pool2d nn.max_pool3d max min
""".split()
# Of float tensors: by integers they would round otherwise.
_EXACT_RESIZE = "nearest_neighbor"


def moved(
    call: Any, matcher: Matcher, emit: Callable[[Any], Any]
) -> tuple[Any, Dequantised] | None:
    """The call on integers, and what one of its operands stood for; None where it is not alike.

    Args:
        call: of any operator.
        matcher: of what its operands are made of.
        emit: binds an expression to a variable.
    """
    from tvm import relax

    name = getattr(call.op, "name", "").removeprefix("relax.")
    if name == "concat":
        return _joined(call, matcher, emit)
    if name not in (*_OF_ONE, "nn.pad", "image.resize2d"):
        return None
    data = matcher.dequantised(call.args[0])
    inexact = name == "image.resize2d" and str(call.attrs.method) != _EXACT_RESIZE
    if data is None or inexact:
        return None
    rest = list(call.args[1:])
    if name == "nn.pad":
        return _padded(call, data)
    return relax.Call(call.op, [data.integers, *rest], call.attrs, call.ty_args), data


def _padded(call: Any, data: Dequantised) -> tuple[Any, Dequantised] | None:
    from tvm import relax

    border = _border(call, data)
    if border is None:
        return None
    widths = [int(width) for width in call.attrs.pad_width]
    return relax.op.nn.pad(data.integers, widths, "constant", float(border)), data


def _border(call: Any, data: Dequantised) -> int | None:
    """The integer that stands for the constant of a border, where one does."""
    if str(call.attrs.pad_mode) != "constant":
        return None
    stored = float(call.attrs.pad_value) / float(data.scale) + data.zero_point
    limits = np.iinfo(data.dtype)
    whole = round(stored)
    return whole if stored == whole and limits.min <= whole <= limits.max else None


def _joined(
    call: Any, matcher: Matcher, emit: Callable[[Any], Any]
) -> tuple[Any, Dequantised] | None:
    from tvm import relax

    parts = call.args[0]
    if not isinstance(parts, relax.Tuple):
        return None
    found = [matcher.dequantised(part) for part in parts.fields]
    first = found[0]
    if first is None or not all(one is not None and one.alike(first) for one in found):
        return None
    integers = relax.Tuple([one.integers for one in found if one is not None])
    return relax.Call(call.op, [integers], call.attrs, call.ty_args), first
