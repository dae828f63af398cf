"""Vectors as LLVM's instructions take them."""

from __future__ import annotations

from typing import Any


def instruction(name: str, dtype: str, *operands: Any) -> Any:
    """One of LLVM's intrinsic functions without side effects; `dtype` is its result's."""
    from tvm import tirx

    return tirx.call_llvm_pure_intrin(dtype, name, *operands)


def halves(vector: Any) -> tuple[Any, Any]:
    """The lower and the upper half of a vector's lanes."""
    from tvm import tirx

    kind, _, lanes = str(vector.ty.dtype).partition("x")
    half = f"{kind}x{int(lanes) // 2}"
    return tirx.vectorlow(half, vector), tirx.vectorhigh(half, vector)
