"""Graphs of float32 computed in float16: half the bytes, and twice the elements in a vector.

What sums many products is computed in float16, and what follows it element by element or moves
elements. What is delicate stays in float32, and tensors are converted on the way in and out:
exponentials, logarithms, roots and powers, softmax, means, variances and other sums, kernels of
the importer (recurrent states), and whatever has an operand of float32 beside one of float16.
Constants are rounded once, to the nearest. Inputs and outputs keep their types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgetvm.compile.layout.stored import constant, is_constant
from edgetvm.compile.operations import tensors_among
from edgetvm.compile.simplify import on_functions

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Sums of products: worth a conversion of what they read.
_SUMS = frozenset(
    f"relax.{name}"
    for name in """
    matmul nn.conv1d nn.conv2d nn.conv3d nn.conv1d_transpose nn.conv2d_transpose
    """.split()
)

# In float16 where their operands are: results no larger than these, or not much, and as exact.
_FOLLOWERS = frozenset(
    f"relax.{name}"
    for name in """
    add subtract multiply divide maximum minimum clip abs negative where
    sigmoid tanh erf nn.relu nn.leakyrelu nn.prelu nn.silu nn.gelu nn.gelu_tanh
    nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.pad nn.pixel_shuffle image.resize2d max min
    reshape permute_dims expand_dims squeeze flatten broadcast_to repeat tile flip
    concat split stack strided_slice take layout_transform
    """.split()
)

# A table from which rows are taken is stored in float16 if it has so many elements.
_LARGE_TABLE = 4096


def compute_in_half(module: IRModule) -> IRModule:
    """The module with its convolutions and products, and what follows them, in float16."""
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Halver(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            # By the graph's own variables: what is computed in float16, and copies of the rest.
            self.halves: dict[Any, Any] = {}
            self.copies: dict[Any, Any] = {}
            self.branches = 0

        def visit_var_binding_(self, binding: Any) -> None:
            half = self._half(binding.value)
            if half is None:
                super().visit_var_binding_(binding)
                return
            variable = binding.var
            half = self.builder_.normalize(half)
            if isinstance(variable, relax.DataflowVar):
                new = relax.DataflowVar(variable.name, half.ty, variable.span)
                self.builder_.emit_normalized(relax.VarBinding(new, half))
                self.halves[variable] = new
                return
            # Others can read it: branches, and the caller.
            whole = self.builder_.normalize(self._widened(self.builder_.emit(half)))
            new = relax.Var(variable.name, whole.ty, variable.span)
            self.builder_.emit_normalized(relax.VarBinding(new, whole))
            self.set_var_remap(variable, new)

        def visit_dataflow_block_(self, block: Any) -> Any:
            self.copies.clear()  # each block can read its own only
            return super().visit_dataflow_block_(block)

        def visit_if_(self, condition: Any) -> Any:
            self.branches += 1
            result = super().visit_if_(condition)
            self.branches -= 1
            return result

        def visit_dataflow_var_(self, variable: Any) -> Any:
            half = self.halves.get(variable)
            return super().visit_dataflow_var_(variable) if half is None else self._widened(half)

        def _half(self, value: Any) -> Any:
            """What is computed in float16 in the place of a value; None where it stays."""
            if self.branches:
                return None
            if isinstance(value, relax.TupleGetItem):
                whole = self.halves.get(value.tuple_value)
                return None if whole is None else relax.TupleGetItem(whole, value.index)
            if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.Op):
                return None
            if value.op.name in _SUMS and all(map(_is_float32, (value, *value.args))):
                arguments = [self._narrowed(one) for one in value.args]
            elif value.op.name in _FOLLOWERS and self._follows(value):
                arguments = [self._follower(one) for one in value.args]
            else:
                return None
            if any(one is None for one in arguments):
                return None
            attrs = _without_out_dtype(value.attrs)
            return relax.Call(value.op, arguments, attrs, value.ty_args, value.span)

        def _follows(self, call: Any) -> bool:
            """Whether an operand is computed in float16, and none but constants in float32."""
            operands = tensors_among(call.args)
            if call.op.name == "relax.take" and is_constant(operands[0]):
                large = int(operands[0].value.numpy().size) >= _LARGE_TABLE
                return large and _is_float32(operands[0])
            # Squares reach beyond float16 long before what is squared does.
            if call.op.name == "relax.multiply" and operands[0].same_as(operands[1]):
                return False
            return any(one in self.halves for one in operands if isinstance(one, relax.Var))

        def _follower(self, argument: Any) -> Any:
            if isinstance(argument, relax.Tuple):
                fields = [self._follower(one) for one in argument.fields]
                return None if any(one is None for one in fields) else relax.Tuple(fields)
            if isinstance(argument, relax.Var) and argument in self.halves:
                return self.halves[argument]
            if is_constant(argument):
                return _rounded(argument)
            return None if _is_float32(argument) else self.visit_expr(argument)

        def _narrowed(self, argument: Any) -> Any:
            """An operand in float16, converted once if it is not."""
            if is_constant(argument):
                return _rounded(argument)
            if argument in self.halves:
                return self.halves[argument]
            if argument not in self.copies:
                whole = self.visit_expr(argument)
                self.copies[argument] = self.builder_.emit(relax.op.astype(whole, "float16"))
            return self.copies[argument]

        def _widened(self, half: Any) -> Any:
            """The float32 of a tensor, or of all of a tuple."""
            if not isinstance(half.ty, relax.TupleType):
                return self.builder_.emit(relax.op.astype(half, "float32"))
            parts = [
                self.builder_.emit(relax.TupleGetItem(half, index))
                for index in range(len(half.ty.fields))
            ]
            return relax.Tuple([self._widened(part) for part in parts])

    return on_functions(module, Halver(module))


def _without_out_dtype(attrs: Any) -> Any:
    """Attributes of an operator whose result has the type of its operands."""
    import tvm

    if not getattr(attrs, "out_dtype", None):
        return attrs
    info = type(attrs).__tvm_ffi_type_info__
    fields = {field.name: getattr(attrs, field.name) for field in info.fields}
    return tvm.ir.make_node(info.type_key, **{**fields, "out_dtype": None})


def _is_float32(expr: Any) -> bool:
    """Whether it is a tensor of that type."""
    return str(getattr(expr.ty, "dtype", "")) == "float32"


def _rounded(expr: Any) -> Any:
    """A constant in float16; None where float16 cannot hold it."""
    array = expr.value.numpy()
    if array.dtype != np.float32:
        return expr
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.array_equal(np.isfinite(half), np.isfinite(array)):
        return None
    # One number alone may be there to keep another from being zero.
    tiny = array.size == 1 and 0 < np.abs(array).max() < np.finfo(np.float16).smallest_normal
    return None if tiny else constant(half)
