"""Rounding to 8 bits with as little arithmetic before it as its definition leaves.

A convolution's sums are rounded as ONNX Runtime and LiteRT round them: the bias is added in 32
bits, one float32 factor for each feature, halves to even. The results are equal bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.integers.matching import (
    Clipped,
    Dequantised,
    Floats,
    Matcher,
    Rounding,
    Scaled,
    single,
)
from edgetvm.compile.kernels.rounding import (
    Settling,
    rounded_product,
    rounded_sums,
    rounded_terms,
)
from edgetvm.compile.layout.stored import constant, is_constant, shape_of

# How far from a whole number a bias may lie in steps of the sums: it is one that was multiplied.
_NEAR = 1e-3
_ULPS = 3e-7
_MOST_BIAS = 2**31 - 1
# What changes no element's order among the others commutes with rounding.
_MOVES = """
reshape permute_dims expand_dims squeeze flatten strided_slice nn.max_pool1d nn.max_pool2d
nn.max_pool3d
""".split()


def requantised(call: Any, matcher: Matcher, builder: Any) -> Any:
    """The cast that ends a quantisation, made of what its value is made of; None: as it is."""
    rounding = matcher.rounding(call)
    if rounding is None:
        return None
    return _known(rounding, matcher.clipped(rounding.value), matcher, builder)


def _known(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    same = _unchanged(rounding, clipped, matcher)
    if same is not None:
        return same
    for make in (_of_sums, _of_terms, _of_product, _of_parts, _of_moved):
        made = make(rounding, clipped, matcher, builder)
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


def _settling(rounding: Rounding, clipped: Clipped, zero_point: int | None = None) -> Settling:
    zero = rounding.zero_point if zero_point is None else zero_point
    return Settling(zero, *_ends(rounding, clipped), rounding.dtype)


def _of_sums(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    """Of 32-bit sums, with or without a constant bias; their features may be shuffled between."""
    value, bias = clipped.value, None
    moved = matcher.made_by(value, "add")
    if moved is not None:
        value, bias = _with_constant(moved)
        if bias is None:
            return None
    scaled, steps = matcher.scaled(value), []
    if scaled is None:
        steps = _shuffled(value, matcher)
        scaled = matcher.scaled(steps[0].args[0]) if steps else None
        features = (shape_of(value) or (0,))[-1]
        if bias is not None and bias.size == features and scaled is not None:
            bias = np.tile(bias.reshape(-1), (shape_of(scaled.integers) or (0,))[-1] // features)
    if scaled is None or matcher.centred(scaled.integers) is not None:
        return None
    made = _summed(rounding, clipped, scaled, bias, matcher, builder)
    for step in steps if made is not None else []:
        made = _again(step, builder.emit(made))
    return made


def _shuffled(value: Any, matcher: Matcher) -> list[Any]:
    """The calls of a shuffle of features that leaves the last of them innermost; or none."""
    steps: list[Any] = []
    for name in ("reshape", "permute_dims", "reshape"):
        call = matcher.made_by(value, name)
        if call is None:
            return []
        steps.insert(0, call)
        value = call.args[0]
    first, turned, last = steps
    apart, whole = shape_of(first) or (0,), shape_of(last) or (1,)
    axes = turned.attrs.axes
    kept = axes is not None and int(axes[-1]) == len(apart) - 1
    return steps if kept and apart[-1] == whole[-1] else []


def _again(call: Any, data: Any) -> Any:
    """The same call on another tensor."""
    from tvm import relax

    return relax.Call(call.op, [data, *call.args[1:]], call.attrs, call.ty_args)


def _summed(
    rounding: Rounding,
    clipped: Clipped,
    scaled: Scaled,
    bias: Floats | None,
    matcher: Matcher,
    builder: Any,
) -> Any:
    steps = None if bias is None else _whole(bias, scaled.factor)
    sums, added = _biased(scaled.integers, steps, matcher)
    shape = shape_of(sums)
    given: dict[str, NDArray[Any]] = {"factor": _spread(rounding.scaled(scaled.factor), shape)}
    if added is not None:
        given["bias"] = added
    if bias is not None and steps is None:
        given["offset"] = rounding.scaled(bias)
    if shape is None or not all(_fits(array, shape) for array in given.values()):
        return None
    settling = _settling(rounding, clipped)
    names = list(given)

    def kernel(sums: Any, *constants: Any) -> Any:
        named = {"bias": None, "offset": None, **dict(zip(names, constants, strict=True))}
        return rounded_sums(sums, settling=settling, **named)

    constants = [constant(array) for array in given.values()]
    return builder.call_te(kernel, sums, *constants, primfunc_name_hint="requantise")


def _spread(factor: Floats, shape: tuple[int, ...] | None) -> Floats:
    """One factor for each feature, though all are the same: layers alike share a kernel then."""
    return np.repeat(factor.reshape(-1), shape[-1]) if factor.size == 1 and shape else factor


def _fits(array: NDArray[Any], shape: tuple[int, ...]) -> bool:
    """Whether a constant broadcasts with the sums and leaves their shape."""
    try:
        return np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        return False


def _whole(bias: Floats, factor: Floats) -> NDArray[np.int64] | None:
    """A bias in the steps of the sums that it is added to, where it is a number of such."""
    steps = bias.astype(np.float64) / factor.astype(np.float64)
    whole = np.rint(steps)
    off = np.abs(steps - whole) > np.maximum(_NEAR, _ULPS * np.abs(whole))
    if off.any() or np.abs(whole).max() > _MOST_BIAS:
        return None
    return whole.astype(np.int64)


def _biased(
    sums: Any, whole: NDArray[np.int64] | None, matcher: Matcher
) -> tuple[Any, NDArray[np.int32] | None]:
    """Sums before a constant was added to them, and that constant with another."""
    moved = matcher.made_by(sums, "add", "subtract")
    added: NDArray[np.int64] = np.zeros((), np.int64)
    if moved is not None and is_constant(moved.args[1]):
        sign = 1 if moved.op.name == "relax.add" else -1
        added = sign * moved.args[1].value.numpy().astype(np.int64)
        sums = moved.args[0]
    elif whole is None:
        return sums, None
    both = np.asarray(added if whole is None else added + whole)
    # Sums and constants wrap round alike: what fits in the end is right.
    return sums, both.astype(np.int32)


def _of_terms(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    """Of 8-bit tensors, each times a number, that are added up, perhaps with a constant."""
    found = _terms(clipped.value, np.float32(1), matcher)
    if found is None:
        return None
    tensors, rest = found
    shape = shape_of(clipped.value)
    if shape is None or not tensors or not _fits(rest, shape):
        return None
    ratios = [float(rounding.scaled(ratio)) for _, ratio in tensors]
    rest = (rounding.scaled(rest) + np.float32(rounding.zero_point)).astype(np.float32)
    given = [] if rest.size == 1 else [constant(rest)]
    settling = _settling(rounding, clipped, 0)

    def kernel(*terms: Any) -> Any:
        last = terms[-1] if given else float(rest.reshape(-1)[0])
        return rounded_terms(terms[: len(tensors)], ratios, last, shape, settling)

    integers = [integers for integers, _ in tensors]
    return builder.call_te(kernel, *integers, *given, primfunc_name_hint="add_int8")


def _terms(
    value: Any, ratio: np.float32, matcher: Matcher, depth: int = 3
) -> tuple[list[tuple[Any, np.float32]], Floats] | None:
    """8-bit tensors and their ratios, and the constant, whose sum the value is."""
    if is_constant(value):
        return [], (value.value.numpy() * ratio).astype(np.float32)
    data = matcher.dequantised(value)
    if data is not None:
        own = np.float32(ratio * data.scale)
        return [(data.integers, own)], np.asarray(-own * np.float32(data.zero_point))
    call = matcher.made_by(value, "add", "subtract", "multiply", "divide") if depth else None
    if call is None:
        return None
    name, (left, right) = call.op.name, call.args
    if name in ("relax.multiply", "relax.divide"):
        by = single(right)
        known = by is not None and math.isfinite(by) and by != 0
        factor = np.float32(by if known else 1)
        inner = ratio * factor if name == "relax.multiply" else ratio / factor
        return _terms(left, np.float32(inner), matcher, depth - 1) if known else None
    sign = np.float32(1 if name == "relax.add" else -1)
    first = _terms(left, ratio, matcher, depth - 1)
    second = _terms(right, np.float32(sign * ratio), matcher, depth - 1)
    if first is None or second is None:
        return None
    return [*first[0], *second[0]], np.asarray(first[1] + second[1])


def _of_product(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    """Of two 8-bit tensors that are multiplied."""
    call = matcher.made_by(clipped.value, "multiply")
    if call is None:
        return None
    left, right = (matcher.dequantised(operand) for operand in call.args)
    if left is None or right is None:
        return None
    factor = float(rounding.scaled(left.scale * right.scale))
    zeros, shape = (left.zero_point, right.zero_point), shape_of(call) or ()
    settling = _settling(rounding, clipped)
    return builder.call_te(
        lambda a, b: rounded_product(a, b, zeros, factor, shape, settling),
        left.integers,
        right.integers,
        primfunc_name_hint="multiply_int8",
    )


def _of_parts(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    """Of tensors that are joined: each is rounded, and bytes are joined."""
    from tvm import relax

    call = matcher.made_by(clipped.value, "concat")
    if call is None or not isinstance(call.args[0], relax.Tuple):
        return None
    parts = [_part(rounding, clipped, part, matcher, builder) for part in call.args[0].fields]
    return relax.Call(call.op, [relax.Tuple(parts)], call.attrs, call.ty_args)


def _of_moved(rounding: Rounding, clipped: Clipped, matcher: Matcher, builder: Any) -> Any:
    """Of a tensor whose elements are moved or picked: bytes are."""
    call = matcher.made_by(clipped.value, *_MOVES)
    if call is None:
        return None
    return _again(call, _part(rounding, clipped, call.args[0], matcher, builder))


def _part(rounding: Rounding, clipped: Clipped, value: Any, matcher: Matcher, builder: Any) -> Any:
    """A tensor that the rounded one is made of, rounded alike."""
    from tvm import relax

    emit = builder.emit
    inner = matcher.clipped(value)
    low, high = (min(max(one, clipped.low), clipped.high) for one in (inner.low, inner.high))
    bounds = Clipped(inner.value, low, high)
    made = _known(rounding, bounds, matcher, builder)
    if made is not None:
        return made if isinstance(made, relax.Var) else emit(made)
    by = relax.const(rounding.divisor, "float32")
    scale = relax.op.divide if rounding.divides else relax.op.multiply
    low_, high_ = _ends(rounding, bounds)
    rounded = emit(relax.op.round(emit(scale(inner.value, by))))
    if rounding.zero_point:
        rounded = emit(relax.op.add(rounded, relax.const(rounding.zero_point, "float32")))
    above = emit(relax.op.maximum(rounded, relax.const(low_, "float32")))
    within = emit(relax.op.minimum(above, relax.const(high_, "float32")))
    return emit(relax.op.astype(within, rounding.dtype))


def _with_constant(call: Any) -> tuple[Any, Floats | None]:
    """The operand that is computed, and the other if it is constant."""
    left, right = call.args
    if is_constant(right):
        return left, right.value.numpy()
    if is_constant(left):
        return right, left.value.numpy()
    return left, None
