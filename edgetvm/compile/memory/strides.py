"""Kernels over tensors that are parts of larger ones: rows lie further apart than they are long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.memory.plan import ALIGNMENT_BYTES

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


@dataclass(frozen=True)
class Lie:
    """How the elements of a kernel's tensor lie.

    Attributes:
        pitch: elements from one row to the next; None where there is no gap between rows.
        leading: axes before those that make up a row.
        alignment_bytes: of the first element, as far as the kernel may rely on it.
    """

    pitch: int | None
    leading: int
    alignment_bytes: int


def lying(function: PrimFunc, lies: Mapping[int, Lie]) -> PrimFunc:
    """A kernel for tensors that lie otherwise than without gaps.

    Args:
        function: that `takes_parts`.
        lies: by position of a parameter.
    """
    params = list(function.params)
    for at, lie in lies.items():
        params[at] = _buffer(params[at], lie)
    return over(function, params)


def without_gaps(function: PrimFunc) -> PrimFunc:
    """The kernel that `lying` was given, but for the names of buffers."""
    from tvm import tirx

    params = [
        tirx.decl_buffer(one.ty.shape, one.ty.dtype, one.name, layout=None)
        if hasattr(one.ty, "strides")
        and (len(one.ty.strides) or int(one.ty.data_alignment) != ALIGNMENT_BYTES)
        else one
        for one in function.params
    ]
    return over(function, params)


def over(function: PrimFunc, buffers: Sequence[Any]) -> PrimFunc:
    """A kernel over other buffers of the same shapes."""
    import tvm_ffi
    from tvm import ir, tirx

    changed = dict(zip(function.params, buffers, strict=True))
    body = tvm_ffi.structural_map(function.body, [(ir.Var, lambda one: changed.get(one, one))])
    return tirx.PrimFunc(list(buffers), body, function.ret_type, function.attrs, function.span)


def _buffer(old: Any, lie: Lie) -> Any:
    from tvm import tirx

    shape = [int(size) for size in old.ty.shape]
    return tirx.decl_buffer(
        shape,
        old.ty.dtype,
        old.name,
        strides=None if lie.pitch is None else strides(shape, lie.pitch, lie.leading),
        data_alignment=lie.alignment_bytes,
        layout=None,
    )


def strides(shape: list[int], pitch: int, leading: int) -> list[int]:
    """Elements from one index to the next, for each axis."""
    rows = [math.prod(shape[at + 1 : leading]) * pitch for at in range(leading)]
    return rows + [math.prod(shape[at + 1 :]) for at in range(leading, len(shape))]


def takes_parts(function: PrimFunc) -> bool:
    """Whether a kernel reads and writes all its tensors element by element, by their indices.

    Others take a tensor's address: sorting, recurrent cells.
    """
    import tvm_ffi
    from tvm import ir, s_tir

    from edgetvm.compile.schedules.blocks import blocks_of

    if not all(map(_is_compact, function.params)):
        return False
    addressed: list[Any] = []

    def look(call: Any) -> None:
        if not isinstance(call.op, ir.Op) or str(call.op.name) in _ADDRESSES:
            addressed.append(call)

    tvm_ffi.structural_walk(function.body, (ir.Call, look), order="pre")
    return not addressed and blocks_of(s_tir.Schedule(function)) is not None


_ADDRESSES = frozenset(
    f"tirx.{name}"
    for name in ("address_of", "tvm_access_ptr", "call_extern", "call_packed", "tvm_call_packed")
)


def _is_compact(parameter: Any) -> bool:
    from tvm import tirx

    kind = parameter.ty
    if not hasattr(kind, "strides") or not isinstance(kind.elem_offset, tirx.IntImm):
        return False
    sizes = [isinstance(size, tirx.IntImm) for size in kind.shape]
    return all(sizes) and not len(kind.strides) and not int(kind.elem_offset)
