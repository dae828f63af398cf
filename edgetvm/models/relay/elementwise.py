"""Operators that work element by element, and those that reduce."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value

# What numpy computes in the same way; for shapes and scales, not for weights.
_NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "negative": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
}


def _folded(builder: Builder, name: str, arguments: tuple[Value, ...]) -> Any:
    """The result of a listed operator on small constants; else None."""
    compute = _NUMPY.get(name)
    if name == "divide" and "float" in builder.dtype(arguments[0]):
        compute = np.divide
    if compute is None:
        return None
    arrays = builder.all_small(*arguments)
    if arrays is None:
        return None
    with np.errstate(all="ignore"):
        array = np.asarray(compute(*arrays))
    return builder.const(array, array.dtype.name)


def relax(name: str, arity: int) -> Lowering:
    """The operator of Relax of that name and so many arguments."""

    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        for argument in arguments[:arity]:
            builder.shape(argument)
        folded = _folded(builder, name, arguments[:arity])
        if folded is not None:
            return folded
        return builder.emit(getattr(builder.op, name)(*arguments[:arity]))

    return lower


def identity(_: Builder, arguments: tuple[Value, ...], __: Attributes) -> Value:
    """An operator that says where or how to compute, not what."""
    return arguments[0]


def rounded(array: Any) -> Any:
    """Round halves away from zero, with numpy."""
    whole = np.trunc(array)
    return whole + np.where(np.abs(array - whole) >= 0.5, np.sign(array), 0).astype(array.dtype)


def away_from_zero(builder: Builder, value: Any) -> Any:
    """Round halves away from zero, as Relay does; Relax's own operator rounds them to even.

    LLVM's intrinsic names its operand once. A formula names it several times, and each kernel that
    fuses a chain of such roundings would compute its beginning thousands of times.
    """
    if "float" not in builder.dtype(value):
        return value
    array = builder.small(value)
    if array is not None:
        return builder.const(rounded(array), builder.dtype(value))
    from tvm import te, tirx

    def nearest(tensor: Any) -> Any:
        return te.compute(
            tensor.shape,
            lambda *i: tirx.call_llvm_pure_intrin(tensor.dtype, "llvm.round", tensor(*i)),
            name="round",
            tag="elemwise",
        )

    return builder.te(nearest, value, primfunc_name_hint="round")


def round_(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """Relay's round."""
    return away_from_zero(builder, arguments[0])


def clip_to(builder: Builder, value: Any, least: float, most: float) -> Any:
    """Clip; the bounds themselves are clipped to what the dtype holds."""
    dtype = builder.dtype(value)
    if "int" in dtype:
        info = np.iinfo(dtype)
        low = math.ceil(max(least, info.min)) if least > info.min else int(info.min)
        high = math.floor(min(most, info.max)) if most < info.max else int(info.max)
        # A bound that this dtype cannot exceed is none; int64's own break TVM's arithmetic.
        if low > info.min:
            value = builder.binary("maximum", value, builder.const(low, dtype))
        if high < info.max:
            value = builder.binary("minimum", value, builder.const(high, dtype))
        return value
    if dtype == "float16":
        least, most = (float(np.clip(bound, -65504, 65504)) for bound in (least, most))
    return builder.emit(builder.op.clip(value, least, most))


def clip(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Relay's clip."""
    least, most = attributes.number("a_min"), attributes.number("a_max")
    return clip_to(builder, arguments[0], least, most)


def cast(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Another dtype."""
    dtype = attributes.dtype("dtype", builder.dtype(arguments[0]))
    return builder.cast(arguments[0], dtype)


def cast_like(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """The dtype of the second argument."""
    return builder.cast(arguments[0], builder.dtype(arguments[1]))


def reinterpret(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The same bits in another dtype."""
    return builder.te(builder.topi.reinterpret, arguments[0], attributes.text("dtype"))


def log_base(base: float) -> Lowering:
    """A logarithm of that base."""

    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        logarithm = builder.emit(builder.op.log(arguments[0]))
        return builder.binary("multiply", logarithm, builder.scalar(1 / math.log(base), logarithm))

    return lower


def truncated(remainder: bool) -> Lowering:
    """Integer division towards zero, or what it leaves."""

    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        left, right = arguments
        dtype = builder.dtype(left)
        if "float" in dtype:
            quotient = builder.emit(builder.op.trunc(builder.binary("divide", left, right)))
        else:
            quotient = builder.binary("divide", left, right)
        if not remainder:
            return quotient
        return builder.binary("subtract", left, builder.binary("multiply", quotient, right))

    return lower


def where(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """Relay's where: the condition may be of any dtype, or of one axis less (its first alone)."""
    condition, then, otherwise = arguments
    condition = builder.cast(condition, "bool")
    if builder.rank(condition) == 1 and builder.rank(then) > 1:
        size, shape = builder.shape(condition)[0], builder.shape(then)
        if size == shape[0] and size not in (1, shape[-1]):
            condition = builder.along(condition, len(shape), 0)
    arrays = builder.all_small(condition, then, otherwise)
    if arrays is not None:
        return builder.const(np.where(arrays[0], arrays[1], arrays[2]), builder.dtype(then))
    return builder.emit(builder.op.where(condition, then, otherwise))


# Reductions.


def reduced_axes(builder: Builder, value: Any, attributes: Attributes) -> list[int]:
    """The axes that a reduction is over: all without `axis`, its complement with `exclude`."""
    rank = builder.rank(value)
    if "axis" not in attributes:
        return list(range(rank))
    axes = [builder.axis(axis, rank) for axis in attributes.integers("axis")]
    if attributes.flag("exclude"):
        axes = [axis for axis in range(rank) if axis not in axes]
    return sorted(set(axes))


def mean(builder: Builder, value: Any, axes: Sequence[int], keep: bool) -> Any:
    """The mean; of integers cut towards zero. Relax says that this is of their dtype: it is not."""
    if "int" not in builder.dtype(value):
        return builder.emit(builder.op.mean(value, list(axes), keep))
    count = math.prod(builder.shape(value)[axis] for axis in axes)
    total = builder.emit(builder.op.sum(value, list(axes), keep))
    return builder.binary("divide", total, builder.scalar(max(count, 1), total))


def reduce(name: str) -> Lowering:
    """A reduction of Relax."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        value = arguments[0]
        axes = reduced_axes(builder, value, attributes)
        if not axes:
            return value
        keep = attributes.flag("keepdims")
        array = builder.small(value)
        if array is not None and name in ("sum", "prod", "max", "min"):
            result = np.asarray(getattr(np, name)(array, axis=tuple(axes), keepdims=keep))
            return builder.const(result, builder.dtype(value))
        if name == "mean":
            return mean(builder, value, axes, keep)
        return builder.emit(getattr(builder.op, name)(value, axes, keep))

    return lower


def all_or_any(name: str) -> Lowering:
    """A reduction of bools."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        axes = reduced_axes(builder, arguments[0], attributes)
        if not axes:
            return arguments[0]
        reduction = "min" if name == "all" else "max"
        numbers = builder.cast(arguments[0], "int8")
        keep = attributes.flag("keepdims")
        return builder.cast(
            builder.emit(getattr(builder.op, reduction)(numbers, axes, keep)), "bool"
        )

    return lower


def arg_reduce(name: str) -> Lowering:
    """argmax and argmin, as int32. Over several axes: of the flat order of these."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        value = arguments[0]
        axes = reduced_axes(builder, value, attributes)
        kept = [axis for axis in range(builder.rank(value)) if axis not in axes]
        shape = builder.shape(value)
        value = builder.permute(value, kept + axes)
        value = builder.reshape(
            value, [*(shape[axis] for axis in kept), math.prod(shape[axis] for axis in axes)]
        )
        last = len(kept)
        flipped = attributes.flag("select_last_index")
        size = builder.shape(value)[last]
        if flipped:
            value = builder.take(value, range(size - 1, -1, -1), last)
        result = builder.emit(getattr(builder.op, name)(value, last, False))
        result = builder.cast(result, "int32")
        if flipped:
            result = builder.binary("subtract", builder.const(size - 1, "int32"), result)
        if attributes.flag("keepdims"):
            result = builder.reshape(result, [1 if i in axes else s for i, s in enumerate(shape)])
        return result

    return lower


def variance(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Around a mean that is given, or around its own."""
    value = arguments[0]
    axes = reduced_axes(builder, value, attributes)
    mean = arguments[1] if len(arguments) > 1 else builder.emit(builder.op.mean(value, axes, True))
    apart = builder.binary("subtract", value, mean)
    square = builder.binary("multiply", apart, apart)
    keep = attributes.flag("keepdims")
    count = math.prod(builder.shape(value)[axis] for axis in axes)
    if not attributes.flag("unbiased"):
        return builder.emit(builder.op.mean(square, axes, keep))
    if count < 2:
        raise malformed("an unbiased variance of one element")
    total = builder.emit(builder.op.sum(square, axes, keep))
    return builder.binary("divide", total, builder.scalar(count - 1, total))


def standard_deviation(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """The root of the variance."""
    return builder.emit(builder.op.sqrt(variance(builder, arguments, attributes)))


def logsumexp(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Without overflow: the largest is taken out first."""
    value = arguments[0]
    axes = reduced_axes(builder, value, attributes)
    largest = builder.emit(builder.op.max(value, axes, True))
    apart = builder.emit(builder.op.exp(builder.binary("subtract", value, largest)))
    total = builder.emit(builder.op.log(builder.emit(builder.op.sum(apart, axes, True))))
    total = builder.binary("add", total, largest)
    if attributes.flag("keepdims"):
        return total
    shape = [size for axis, size in enumerate(builder.shape(value)) if axis not in axes]
    return builder.reshape(total, shape)


def scan(name: str) -> Lowering:
    """cumsum and cumprod."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        value = arguments[0]
        dtype = attributes.dtype("dtype", builder.dtype(value))
        axis = attributes.get("axis")
        if axis is None:
            value = builder.reshape(value, [math.prod(builder.shape(value))])
        axis = 0 if axis is None else builder.axis(attributes.integer("axis"), builder.rank(value))
        exclusive = attributes.flag("exclusive")
        array = builder.small(value)
        if array is not None:
            kind: Any = np.cumsum if name == "cumsum" else np.cumprod
            if exclusive:
                first = np.full_like(array.take([0], axis), int(name == "cumprod"))
                array = np.concatenate([first, np.delete(array, -1, axis)], axis)
            return builder.const(kind(array, axis=axis, dtype=dtype), dtype)
        return builder.emit(getattr(builder.op, name)(value, axis, dtype, exclusive))

    return lower
