"""Integer divisions that cannot end the process."""

from __future__ import annotations

from typing import Any

_DIVISIONS = ("relax.divide", "relax.floor_divide", "relax.mod", "relax.floor_mod")


def guarded(expression: Any) -> Any:
    """The same expression; an integer division takes 1 for a divisor that is 0 when it runs.

    x86 answers such a division with a signal that nothing can catch. What runtimes give for it
    differs (an error, a crash, any number), so that no answer would be the right one.
    """
    from tvm import relax
    from tvm.ir import Op
    from tvm.ir.expr import GenericConst

    if not (isinstance(expression, relax.Call) and isinstance(expression.op, Op)):
        return expression
    if expression.op.name not in _DIVISIONS:
        return expression
    left, right = expression.args
    dtype = str(getattr(right.ty, "dtype", ""))
    if "int" not in dtype or (isinstance(right, GenericConst) and right.value.numpy().all()):
        return expression
    zero, one = relax.const(0, dtype), relax.const(1, dtype)
    divisor = relax.op.where(relax.op.equal(right, zero), one, right)
    return relax.Call(expression.op, [left, divisor], expression.attrs)
