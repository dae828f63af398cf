"""Small constant expressions, computed with numpy.

TVM's own FoldConstant compiles and runs a kernel for each: seconds for a small network, most of
them for bounds of clips and for biases that are reshaped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tvm.ir import IRModule


def _reshaped(call: Any, array: Any) -> Any:
    return array.reshape([int(size) for size in call.ty.shape])


def _transposed(call: Any, array: Any) -> Any:
    axes = call.attrs.axes
    return np.transpose(array, None if axes is None else [int(axis) for axis in axes])


# Operator to (call, arrays) -> array; only what numpy computes in the very same way.
_FOLDS: dict[str, Callable[..., Any]] = {
    "relax.reshape": _reshaped,
    "relax.expand_dims": _reshaped,
    "relax.squeeze": _reshaped,
    "relax.permute_dims": _transposed,
    "relax.isnan": lambda _, array: np.isnan(array),
    "relax.where": lambda _, condition, a, b: np.where(condition, a, b),
    "relax.add": lambda _, a, b: a + b,
    "relax.subtract": lambda _, a, b: a - b,
    "relax.multiply": lambda _, a, b: a * b,
}


def fold_constants(module: IRModule) -> IRModule:
    """Replace every call of a listed operator on constants alone by its value."""
    import tvm
    from tvm import relax
    from tvm.ir.expr import GenericConst
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Folder(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            if not isinstance(call.op, tvm.ir.Op) or call.op.name not in _FOLDS:
                return call
            arrays = []
            for argument in call.args:
                if isinstance(argument, relax.ShapeExpr):
                    continue  # a reshape's target; the call's own type says it too
                bound = isinstance(argument, relax.Var)
                value = self.lookup_binding(argument) if bound else argument
                if not isinstance(value, GenericConst):
                    return call
                arrays.append(value.value.numpy())
            array = _FOLDS[call.op.name](call, *arrays)
            return relax.const(np.ascontiguousarray(array).reshape(array.shape), array.dtype.name)

    folder = Folder(module)
    for variable, function in module.functions.items():
        if isinstance(function, relax.Function):
            folder.builder_.update_func(variable, folder.visit_expr(function))
    result: IRModule = folder.builder_.get()
    return result
