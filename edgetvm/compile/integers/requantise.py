"""Rounding to 8 bits with as little arithmetic before it as its definition leaves.

A convolution's sums are rounded as ONNX Runtime and LiteRT round them: the bias is added in 32
bits, one float32 factor for each feature, halves to even. The results are equal bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edgetvm.compile.integers.matching import (
    BYTES,
    Clipped,
    Dequantised,
    Floats,
    Matcher,
    Rounding,
    Scaled,
    dtype_of,
)
from edgetvm.compile.layout.stored import constant, is_constant, shape_of

Emit = Callable[[Any], Any]
# How far from a whole number a bias may lie in steps of the sums: it is one that was multiplied.
_NEAR = 1e-3
_ULPS = 3e-7
_MOST_BIAS = 2**31 - 1


def requantised(call: Any, matcher: Matcher, emit: Emit) -> Any:
    """The cast that ends a quantisation, made of what its value is made of; None: as it is."""
    rounding = matcher.rounding(call)
    if rounding is None:
        return None
    clipped = matcher.clipped(rounding.value)
    same = _unchanged(rounding, clipped, matcher)
    if same is not None:
        return same
    for make in (_of_sums, _of_terms, _of_product, _of_parts):
        made = make(rounding, clipped, matcher, emit)
        if made is not None:
            return made
    return None


def _unchanged(rounding: Rounding, clipped: Clipped, matcher: Matcher) -> Any:
    """The integers themselves, where they are of that very scale."""
    given = matcher.dequantised(clipped.value)
    if given is None or not rounding.divides:
        return None
    limits = np.iinfo(rounding.dtype)
    wanted = Dequantised(given.integers, rounding.zero_point, rounding.divisor)
    if given.dtype != rounding.dtype or not given.alike(wanted):
        return None
    low, high = _ends(rounding, clipped)
    return given.integers if (low, high) == (limits.min, limits.max) else None


def _ends(rounding: Rounding, clipped: Clipped) -> tuple[int, int]:
    """The smallest and largest integer that can come out."""
    low = rounding.stored(clipped.low, rounding.low)
    high = rounding.stored(clipped.high, rounding.high)
    low, high = (min(max(one, rounding.low), rounding.high) for one in (low, high))
    return low, high


def _settled(scaled: Any, rounding: Rounding, clipped: Clipped, zero: int, emit: Emit) -> Any:
    """Multiples of the output's scale, rounded, moved by a zero point, clipped and cast."""
    from tvm import relax

    low, high = _ends(rounding, clipped)
    value = emit(relax.op.round(emit(scaled)))
    if zero:
        value = emit(relax.op.add(value, relax.const(zero, "float32")))
    value = emit(relax.op.maximum(value, relax.const(low, "float32")))
    value = emit(relax.op.minimum(value, relax.const(high, "float32")))
    return relax.op.astype(value, rounding.dtype)


def _of_sums(rounding: Rounding, clipped: Clipped, matcher: Matcher, emit: Emit) -> Any:
    """Of 32-bit sums, with or without a constant bias."""
    from tvm import relax

    value, bias = clipped.value, None
    moved = matcher.made_by(value, "add")
    if moved is not None:
        value, bias = _with_constant(moved)
        if bias is None:
            return None
    scaled = matcher.scaled(value)
    if scaled is None or matcher.dequantised(value) is not None:
        return None
    factor = rounding.scaled(scaled.factor)
    sums = scaled.integers
    if bias is None:
        return _settled(_times(sums, factor, emit), rounding, clipped, rounding.zero_point, emit)
    whole = _whole(bias, scaled.factor)
    if whole is None:
        moved = relax.op.add(emit(_times(sums, factor, emit)), constant(rounding.scaled(bias)))
        return _settled(moved, rounding, clipped, rounding.zero_point, emit)
    sums = _plus(sums, whole, matcher, emit)
    return _settled(_times(sums, factor, emit), rounding, clipped, rounding.zero_point, emit)


def _times(integers: Any, factor: Floats, emit: Emit) -> Any:
    from tvm import relax

    return relax.op.multiply(emit(relax.op.astype(integers, "float32")), constant(factor))


def _whole(bias: Floats, factor: Floats) -> Any:
    """A bias in the steps of the sums that it is added to, where it is a number of such."""
    steps = bias.astype(np.float64) / factor.astype(np.float64)
    whole = np.rint(steps)
    off = np.abs(steps - whole) > np.maximum(_NEAR, _ULPS * np.abs(whole))
    if off.any() or np.abs(whole).max() > _MOST_BIAS:
        return None
    return whole.astype(np.int64)


def _plus(sums: Any, bias: Any, matcher: Matcher, emit: Emit) -> Any:
    """Sums and a constant; with one that is added to them already, in one addition."""
    from tvm import relax

    moved = matcher.made_by(sums, "add")
    if moved is not None and is_constant(moved.args[1]):
        both = moved.args[1].value.numpy().astype(np.int64) + bias
        if np.abs(both).max() <= _MOST_BIAS:
            sums, bias = moved.args[0], both
    return emit(relax.op.add(sums, constant(bias.astype(np.int32))))


def _of_terms(rounding: Rounding, clipped: Clipped, matcher: Matcher, emit: Emit) -> Any:
    """Of 8-bit tensors that are added or subtracted, each with a scale of its own."""
    from tvm import relax

    call = matcher.made_by(clipped.value, "add", "subtract")
    if call is None:
        return None
    signs = (1.0, 1.0 if call.op.name == "relax.add" else -1.0)
    terms: list[tuple[Any, np.float32]] = []
    rest = np.zeros((), np.float32) + np.float32(rounding.zero_point)
    for operand, sign in zip(call.args, signs, strict=True):
        if is_constant(operand):
            rest = rest + rounding.scaled(operand.value.numpy() * np.float32(sign))
            continue
        data = matcher.dequantised(operand)
        if data is None:
            return None
        ratio = np.float32(rounding.scaled(data.scale) * np.float32(sign))
        terms.append((data.integers, ratio))
        rest = rest - ratio * np.float32(data.zero_point)
    value: Any = constant(rest.astype(np.float32))
    for integers, ratio in terms:
        product = emit(_times(integers, np.asarray(ratio, np.float32), emit))
        value = relax.op.add(product, value if is_constant(value) else emit(value))
    return _settled(value, rounding, clipped, 0, emit)


def _of_product(rounding: Rounding, clipped: Clipped, matcher: Matcher, emit: Emit) -> Any:
    """Of two 8-bit tensors that are multiplied."""
    from tvm import relax

    call = matcher.made_by(clipped.value, "multiply")
    if call is None:
        return None
    found = [matcher.dequantised(operand) for operand in call.args]
    left, right = found
    if left is None or right is None:
        return None
    factor = rounding.scaled(left.scale * right.scale)
    centred = [_centred(one, emit) for one in (left, right)]
    product = emit(relax.op.multiply(*centred))
    scaled = relax.op.multiply(product, constant(factor))
    return _settled(scaled, rounding, clipped, rounding.zero_point, emit)


def _centred(data: Dequantised, emit: Emit) -> Any:
    from tvm import relax

    value = emit(relax.op.astype(data.integers, "float32"))
    if not data.zero_point:
        return value
    return emit(relax.op.subtract(value, relax.const(data.zero_point, "float32")))


def _of_parts(rounding: Rounding, clipped: Clipped, matcher: Matcher, emit: Emit) -> Any:
    """Of tensors that are joined: each is rounded, and bytes are joined."""
    from tvm import relax

    call = matcher.made_by(clipped.value, "concat")
    if call is None or not isinstance(call.args[0], relax.Tuple):
        return None
    parts = [
        _part(rounding, Clipped(part, clipped.low, clipped.high), matcher, emit)
        for part in call.args[0].fields
    ]
    return relax.Call(call.op, [relax.Tuple(parts)], call.attrs, call.ty_args)


def _part(rounding: Rounding, clipped: Clipped, matcher: Matcher, emit: Emit) -> Any:
    """One tensor of several, rounded as all of them."""
    from tvm import relax

    inner = matcher.clipped(clipped.value)
    low, high = (min(max(one, clipped.low), clipped.high) for one in (inner.low, inner.high))
    bounds = Clipped(inner.value, low, high)
    same = _unchanged(rounding, bounds, matcher)
    if same is not None:
        return same
    for make in (_of_sums, _of_terms, _of_product, _of_parts):
        made = make(rounding, bounds, matcher, emit)
        if made is not None:
            return emit(made)
    given = matcher.dequantised(inner.value)
    if given is not None:
        ratio = rounding.scaled(given.scale)
        scaled = relax.op.multiply(_centred(given, emit), constant(ratio))
        return emit(_settled(scaled, rounding, bounds, rounding.zero_point, emit))
    by = relax.const(rounding.divisor, "float32")
    make_scaled = relax.op.divide if rounding.divides else relax.op.multiply
    scaled = make_scaled(inner.value, by)
    return emit(_settled(scaled, rounding, bounds, rounding.zero_point, emit))


def _with_constant(call: Any) -> tuple[Any, Floats | None]:
    """The operand that is computed, and the other if it is constant."""
    left, right = call.args
    if is_constant(right):
        return left, right.value.numpy()
    if is_constant(left):
        return right, left.value.numpy()
    return left, None
