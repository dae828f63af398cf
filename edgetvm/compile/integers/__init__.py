"""Quantised models computed in integers, though their graphs tell it in floats.

A graph of QuantizeLinear and DequantizeLinear has float operators on tensors that were 8-bit
integers just before. Convolutions and products are exact, and several times faster, in integers;
what moves or joins tensors moves a quarter of the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.integers.matching import Dequantised, Matcher
from edgetvm.compile.integers.moves import moved
from edgetvm.compile.integers.requantise import requantised
from edgetvm.compile.integers.sums import summed
from edgetvm.compile.integers.weights import integer_weights
from edgetvm.compile.layout.stored import constant, is_constant

if TYPE_CHECKING:
    from tvm.ir import IRModule

__all__ = ["integer_weights", "keep_integers"]

# Each of them reads an operand element by element: what makes it there is made in place.
_ELEMENTWISE = """
add subtract multiply divide maximum minimum clip power exp log sqrt rsqrt tanh sigmoid erf abs
negative square where nn.relu nn.silu nn.gelu nn.leakyrelu nn.prelu astype round floor ceil
""".split()


def keep_integers(module: IRModule) -> IRModule:
    """Convolutions, products, means and moves of dequantised tensors are done on integers."""
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Keeper(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            self.matcher = Matcher(self.lookup_binding)

        def visit_call_(self, call: Any) -> Any:
            call = self._inlined(self.builder_.normalize(super().visit_call_(call)))
            emit = self.builder_.emit
            done = summed(call, self.matcher, emit)
            if done is not None:
                sums, factor = done
                real = emit(relax.op.astype(emit(sums), "float32"))
                return relax.op.multiply(real, constant(factor))
            change = moved(call, self.matcher, emit)
            if change is not None:
                integers, like = change
                return self._real(Dequantised(emit(integers), like.zero_point, like.scale))
            made = requantised(call, self.matcher, self.builder_)
            return self._in_place(call) if made is None else made

        def _inlined(self, call: Any) -> Any:
            """The call with constants in the place of variables that are bound to them."""
            bound = [
                self.lookup_binding(one) if isinstance(one, relax.Var) else None
                for one in call.args
            ]
            if not any(map(is_constant, bound)):
                return call
            arguments = [
                value if is_constant(value) else one
                for one, value in zip(call.args, bound, strict=True)
            ]
            return self.builder_.normalize(relax.Call(call.op, arguments, call.attrs, call.ty_args))

        def visit_tuple_getitem_(self, item: Any) -> Any:
            item = super().visit_tuple_getitem_(item)
            parts = self.matcher.made_by(item.tuple_value, "split")
            data = None if parts is None else self.matcher.dequantised(parts.args[0])
            if parts is None or data is None:
                return item
            # Made again for each part; those that are alike are one call in the end.
            whole = relax.Call(parts.op, [data.integers], parts.attrs, parts.ty_args)
            part = self.builder_.emit(relax.TupleGetItem(self.builder_.emit(whole), item.index))
            return self._real(Dequantised(part, data.zero_point, data.scale))

        def _real(self, data: Dequantised) -> Any:
            """What integers stand for."""
            emit = self.builder_.emit
            value = data.integers
            if data.zero_point:
                wide = emit(relax.op.astype(value, "int32"))
                value = emit(relax.op.subtract(wide, relax.const(data.zero_point, "int32")))
            real = emit(relax.op.astype(value, "float32"))
            return relax.op.multiply(real, relax.const(data.scale, "float32"))

        def _in_place(self, call: Any) -> Any:
            """The call with dequantised operands of its own, which need no place in memory."""
            name = getattr(call.op, "name", "").removeprefix("relax.")
            if name not in _ELEMENTWISE:
                return call
            found = [self.matcher.dequantised(one) for one in call.args]
            if not any(found):
                return call
            arguments = [
                one if data is None else self.builder_.emit(self._real(data))
                for one, data in zip(call.args, found, strict=True)
            ]
            return relax.Call(call.op, arguments, call.attrs, call.ty_args)

    return _on_functions(module, Keeper(module))


def _on_functions(module: IRModule, rewriter: Any) -> IRModule:
    from tvm import relax

    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            rewriter.builder_.update_func(variable, rewriter.visit_expr(function))
    result: IRModule = rewriter.builder_.get()
    return result
