"""Element-wise operators and reductions, in the dtypes that PyTorch computes them in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from edgetvm.models.onnx.emitter import dtype_of, is_float, rank_of, shape_of
from edgetvm.models.torch.call import Call, Converter


def is_tensor(value: Any) -> bool:
    """Whether an operand is a Relax expression, not a Python number."""
    return hasattr(value, "ty")


def operand(call: Call, value: Any, dtype: str) -> Any:
    """A tensor or a number as an expression of that dtype."""
    return call.emit.cast(value, dtype) if is_tensor(value) else call.emit.const(value, dtype)


def _common_dtype(values: Sequence[Any]) -> str:
    """What PyTorch would compute with these operands in."""
    import torch

    samples = [
        torch.empty((1,) * rank_of(value), dtype=getattr(torch, dtype_of(value)))
        if is_tensor(value)
        else value
        for value in values
    ]
    return str(torch.result_type(*samples)).removeprefix("torch.")


def _arithmetic(operator: str) -> Converter:
    def convert(call: Call) -> Any:
        first, second = list(call.arguments.values())[:2]
        emit = call.emit
        a, b = operand(call, first, call.dtype), operand(call, second, call.dtype)
        factor = call.arguments.get("alpha", 1)
        if factor != 1:
            b = emit.multiply(b, emit.const(factor, call.dtype))
        return emit.emit(emit.operator(operator)(a, b))

    return convert


def _reversed_subtract(call: Call) -> Any:
    emit = call.emit
    a, b = (operand(call, value, call.dtype) for value in (call["self"], call["other"]))
    return emit.subtract(b, emit.multiply(a, emit.const(call["alpha"], call.dtype)))


def _comparison(operator: str) -> Converter:
    def convert(call: Call) -> Any:
        pair = list(call.arguments.values())[:2]
        dtype = _common_dtype(pair)
        dtype = "int8" if dtype == "bool" else dtype  # LLVM compares no single bits
        a, b = (operand(call, value, dtype) for value in pair)
        return call.emit.emit(call.emit.operator(operator)(a, b))

    return convert


def _where(call: Call) -> Any:
    a, b = (operand(call, call[name], call.dtype) for name in ("self", "other"))
    return call.emit.where(operand(call, call["condition"], "bool"), a, b)


def _hypot(call: Call) -> Any:
    emit = call.emit
    squares = [emit.multiply(call[name], call[name]) for name in ("self", "other")]
    return emit.unary("sqrt", emit.add(*squares))


def _log_sum_exp_pair(call: Call) -> Any:
    emit = call.emit
    a, b = call["self"], call["other"]
    distance = emit.unary("negative", emit.unary("abs", emit.subtract(a, b)))
    return emit.add(emit.maximum(a, b), emit.softplus(distance))


def _axes(call: Call, value: Any) -> list[int]:
    found = call.arguments.get("dim")
    axes = found if isinstance(found, (list, tuple)) else [] if found is None else [found]
    rank = rank_of(value)
    return [axis % rank for axis in axes] or list(range(rank))


def _reduction(operator: str) -> Converter:
    def convert(call: Call) -> Any:
        value = call["self"]
        if operator in ("sum", "prod", "mean"):
            value = call.emit.cast(value, call.dtype)
        if rank_of(value) == 0:
            return value
        reduce = call.emit.operator(operator)
        return call.emit.emit(
            reduce(value, _axes(call, value), bool(call.arguments.get("keepdim", False)))
        )

    return convert


def _with_index(reduction: str, search: str) -> Converter:
    """The largest or least along one axis, and where it is."""

    def convert(call: Call) -> Any:
        emit, value = call.emit, call["self"]
        axis, keep = call["dim"] % rank_of(value), bool(call["keepdim"])
        return [
            emit.emit(emit.operator(reduction)(value, [axis], keep)),
            emit.emit(emit.operator(search)(value, axis, keep)),
        ]

    return convert


def _index_of(search: str) -> Converter:
    def convert(call: Call) -> Any:
        emit, value, axis = call.emit, call["self"], call["dim"]
        if axis is None:
            value, axis = emit.reshape(value, (math.prod(shape_of(value)),)), 0
        return emit.emit(emit.operator(search)(value, axis % rank_of(value), bool(call["keepdim"])))

    return convert


def _norm(call: Call) -> Any:
    emit, value = call.emit, operand(call, call["self"], call.dtype)
    order, axes, keep = float(call["ord"]), _axes(call, value), bool(call["keepdim"])
    size = emit.unary("abs", value)

    def reduced(operator: str, what: Any) -> Any:
        return emit.emit(emit.operator(operator)(what, axes, keep))

    if math.isinf(order):
        return reduced("max" if order > 0 else "min", size)
    if order == 1:
        return reduced("sum", size)
    if order == 2:
        return emit.unary("sqrt", reduced("sum", emit.multiply(value, value)))
    if order == 0:
        return reduced("sum", emit.cast(emit.less(emit.like(0, size), size), call.dtype))
    power = emit.operator("power")
    total = reduced("sum", emit.emit(power(size, emit.like(order, size))))
    return emit.emit(power(total, emit.like(1 / order, total)))


def _log_of_more_than_one(call: Call) -> Any:
    """log(1 + x), exact where x is tiny."""
    from tvm import te, tirx

    wide, name = ("float64", "log1p") if call.dtype == "float64" else ("float32", "log1pf")

    def compute(data: Any) -> Any:
        def element(*index: Any) -> Any:
            value = tirx.call_pure_extern(wide, name, data[index].astype(wide))
            return value.astype(call.dtype)

        return te.compute(data.shape, element, name="log1p")

    return call.emit.te(compute, operand(call, call["self"], call.dtype))


def _power_of_two(call: Call) -> Any:
    value = operand(call, call["self"], call.dtype)
    return call.emit.unary("exp", call.emit.multiply(value, call.emit.like(math.log(2), value)))


def _error_complement(call: Call) -> Any:
    value = call["self"]
    return call.emit.subtract(call.emit.like(1, value), call.emit.unary("erf", value))


def _joined(call: Call) -> Any:
    kept = [value for value in call["tensors"] if shape_of(value) != (0,)] or call["tensors"]
    values = [call.emit.cast(value, call.dtype) for value in kept]
    return call.emit.concat(values, call["dim"] % rank_of(values[0]))


def _variance(call: Call) -> Any:
    emit, value = call.emit, call["self"]
    axes, keep = _axes(call, value), bool(call["keepdim"])
    correction = 1 if call["correction"] is None else call["correction"]
    count = math.prod(shape_of(value)[axis] for axis in axes)
    mean = emit.emit(emit.operator("mean")(value, axes, True))
    apart = emit.subtract(value, mean)
    total = emit.emit(emit.operator("sum")(emit.multiply(apart, apart), axes, keep))
    variance = emit.multiply(total, emit.like(1 / max(count - correction, 0), total))
    if "var_mean" in call.operator:
        return [variance, mean if keep else emit.emit(emit.operator("squeeze")(mean, axes))]
    return variance


def _division(call: Call) -> Any:
    emit, mode = call.emit, call["rounding_mode"]
    a, b = (operand(call, call[name], call.dtype) for name in ("self", "other"))
    if mode == "floor":
        return emit.emit(emit.operator("floor_divide")(a, b))
    if not is_float(call.dtype):  # an integer's quotient is cut off towards zero
        return emit.emit(emit.operator("divide")(a, b))
    quotient = emit.divide(a, b)
    return quotient if mode is None else emit.unary("trunc", quotient)


def _power(call: Call) -> Any:
    emit = call.emit
    wide = call.dtype if is_float(call.dtype) else "float64"
    exponent = call["exponent"]
    if exponent == 2 and is_tensor(call["self"]):
        base = operand(call, call["self"], call.dtype)
        return emit.multiply(base, base)
    a, b = (operand(call, value, wide) for value in (call["self"], exponent))
    # Of integers: exact up to 2 ** 53.
    return emit.cast(emit.emit(emit.operator("power")(a, b)), call.dtype)


def _any(call: Call) -> Any:
    emit = call.emit
    value = (
        operand(call, call["self"], "int8") if dtype_of(call["self"]) == "bool" else call["self"]
    )
    truth = emit.cast(emit.emit(emit.operator("not_equal")(value, emit.like(0, value))), "int8")
    keep = bool(call.arguments.get("keepdim", False))
    found = emit.emit(emit.operator("max")(truth, _axes(call, value), keep))
    return emit.cast(found, "bool")


def _elu(call: Call) -> Any:
    """scale * x above 0, scale * alpha * (exp(input_scale * x) - 1) below; SELU and CELU too."""
    emit, value = call.emit, call["self"]
    zero = emit.like(0, value)
    below = emit.multiply(emit.minimum(value, zero), emit.like(call["input_scale"], value))
    curve = emit.subtract(emit.unary("exp", below), emit.like(1, value))
    whole = emit.add(
        emit.maximum(value, zero), emit.multiply(curve, emit.like(call["alpha"], value))
    )
    return emit.multiply(whole, emit.like(call["scale"], value))


def _cast(call: Call) -> Any:
    return call.emit.cast(call["self"], call.dtype)


def _distances(call: Call) -> Any:
    """The distance of each row of one matrix from each of the other."""
    if float(call["p"]) not in (1.0, 2.0):
        raise call.refusal(f"it measures with p = {call['p']}; 1 and 2 are supported")
    emit = call.emit
    a = emit.unsqueeze(call["x1"], rank_of(call["x1"]) - 1)
    b = emit.unsqueeze(call["x2"], rank_of(call["x2"]) - 2)
    apart = emit.subtract(a, b)
    euclidean = float(call["p"]) == 2
    parts = emit.multiply(apart, apart) if euclidean else emit.unary("abs", apart)
    total = emit.emit(emit.operator("sum")(parts, [-1]))
    return emit.unary("sqrt", total) if euclidean else total


def _shift(operator: str) -> Converter:
    def convert(call: Call) -> Any:
        a, b = (operand(call, call[name], call.dtype) for name in ("self", "other"))
        return call.emit.emit(call.emit.operator(operator)(a, b))

    return convert


def _table(names: Sequence[str], operators: Callable[[str], Converter]) -> dict[str, Converter]:
    """Converters for both overloads of operators: `name=relax_name`, or one name for both."""
    made = {}
    for entry in names:
        name, _, operator = entry.partition("=")
        for overload in ("Tensor", "Scalar"):
            made[f"aten.{name}.{overload}"] = operators(operator or name)
    return made


ARITHMETIC: dict[str, Converter] = {
    **_table(["add", "sub=subtract", "mul=multiply", "div=divide"], _arithmetic),
    **_table(
        "eq=equal ne=not_equal lt=less le=less_equal gt=greater ge=greater_equal".split(),
        _comparison,
    ),
    **_table(["__lshift__=left_shift", "__rshift__=right_shift"], _shift),
    **_table(["bitwise_left_shift=left_shift", "bitwise_right_shift=right_shift"], _shift),
    "aten.maximum.default": _arithmetic("maximum"),
    "aten.minimum.default": _arithmetic("minimum"),
    "aten.rsub.Tensor": _reversed_subtract,
    "aten.rsub.Scalar": _reversed_subtract,
    "aten.where.self": _where,
    "aten.elu.default": _elu,
    "aten.exp2.default": _power_of_two,
    "aten.erfc.default": _error_complement,
    "aten.cat.default": _joined,
    "aten.var.correction": _variance,
    "aten.var_mean.correction": _variance,
    "aten.div.Tensor_mode": _division,
    "aten.div.Scalar_mode": _division,
    "aten.pow.Tensor_Scalar": _power,
    "aten.pow.Tensor_Tensor": _power,
    "aten.pow.Scalar": _power,
    "aten.any.default": _any,
    "aten.log1p.default": _log_of_more_than_one,
    "aten.hypot.default": _hypot,
    "aten.logaddexp.default": _log_sum_exp_pair,
    "aten.amax.default": _reduction("max"),
    "aten.amin.default": _reduction("min"),
    "aten.max.default": _reduction("max"),
    "aten.min.default": _reduction("min"),
    "aten.sum.default": _reduction("sum"),
    "aten.sum.dim_IntList": _reduction("sum"),
    "aten.mean.default": _reduction("mean"),
    "aten.mean.dim": _reduction("mean"),
    "aten.prod.default": _reduction("prod"),
    "aten.prod.dim_int": _reduction("prod"),
    "aten.max.dim": _with_index("max", "argmax"),
    "aten.min.dim": _with_index("min", "argmin"),
    "aten.argmax.default": _index_of("argmax"),
    "aten.argmin.default": _index_of("argmin"),
    "aten.linalg_vector_norm.default": _norm,
    "aten._to_copy.default": _cast,
    "aten._cdist_forward.default": _distances,
}
