"""Small steps on Relax expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Bindings = Sequence[tuple[Any, Any]]


def substituted(value: Any, by: Mapping[Any, Any]) -> Any:
    """A bound value with its variables replaced."""
    from tvm import relax

    if isinstance(value, relax.Var):
        return by.get(value, value)
    if isinstance(value, relax.Tuple):
        return relax.Tuple([substituted(field, by) for field in value.fields])
    if isinstance(value, relax.TupleGetItem):
        return relax.TupleGetItem(substituted(value.tuple_value, by), value.index)
    if isinstance(value, relax.Call):
        arguments = [substituted(argument, by) for argument in value.args]
        return relax.Call(value.op, arguments, value.attrs, value.ty_args, value.span)
    return value


def needed(
    bindings: Bindings, result: Any, keeps: Callable[[Any], bool] = lambda _: False
) -> Bindings:
    """The bindings, as variable and value, that a result needs, in their order.

    Args:
        keeps: whether a value is needed for what it does.
    """
    used, found = variables([result]), []
    for variable, value in reversed(bindings):
        if variable in used or keeps(value):
            found.append((variable, value))
            used |= variables([value])
    return tuple(reversed(found))


def variables(values: Sequence[Any]) -> set[Any]:
    """All that the values use."""
    from tvm import relax

    return {variable for value in values for variable in relax.analysis.free_vars(value)}


def is_kernel_call(value: Any) -> bool:
    """Whether a bound value is a kernel's result."""
    import tvm
    from tvm import relax

    return isinstance(value, relax.Call) and value.op == tvm.ir.Op.get("relax.call_tir")
