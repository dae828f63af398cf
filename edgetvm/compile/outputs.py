"""Outputs that are tensors of their own: what the caller gives memory for is written by a kernel.

An output that is an input, a constant, another output or a view of one of these has none. Then
only TVM's virtual machine could return it; a copy costs less than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.simplify import on_functions

if TYPE_CHECKING:
    from tvm.ir import IRModule


def copy_shared_outputs(module: IRModule) -> IRModule:
    """Copy each output of the main function that is no tensor of its own."""
    from tvm import relax, topi
    from tvm.relax.expr_functor import PyExprMutator, mutator

    returned = module["main"].body.body
    sources = _Sources(module["main"])

    @mutator
    class Copier(PyExprMutator):  # type: ignore[misc]
        def visit_var_binding_(self, binding: Any) -> None:
            if not binding.var.same_as(returned):
                super().visit_var_binding_(binding)
                return
            value = self.visit_expr(binding.value)
            if isinstance(value, relax.Tuple):
                shared = sources.shared(binding.value.fields)
                pairs = zip(value.fields, shared, strict=True)
                value = relax.Tuple([self._copied(one) if copy else one for one, copy in pairs])
            elif sources.shared([binding.var])[0]:
                value = self._copied(value)
            new = type(binding.var)(binding.var.name, binding.var.ty, binding.var.span)
            self.set_var_remap(binding.var, new)
            self.builder_.emit_normalized(relax.VarBinding(new, self.builder_.normalize(value)))

        def _copied(self, value: Any) -> Any:
            return self.builder_.emit_te(topi.identity, value, primfunc_name_hint="copy")

    return on_functions(module, Copier(module))


class _Sources:
    """Which tensor each variable of a function is, or is a view of."""

    def __init__(self, function: Any) -> None:
        import tvm
        from tvm import relax
        from tvm.ir.expr import GenericConst

        self._tensors: dict[Any, Any] = {}
        self._taken = set(function.params)
        reshape = tvm.ir.Op.get("relax.reshape")
        for block in function.body.blocks:
            for binding in block.bindings:
                value = binding.value
                if isinstance(value, relax.Call) and value.op == reshape:
                    value = value.args[0]
                if isinstance(value, relax.Var | GenericConst):
                    self._tensors[binding.var] = self._tensors.get(value, value)

    def shared(self, outputs: Any) -> list[bool]:
        """For each output whether it is nothing of its own, or what an output before it is."""
        from tvm import relax

        taken, found = set(self._taken), []
        for output in outputs:
            tensor = self._tensors.get(output, output)
            found.append(not isinstance(tensor, relax.Var) or tensor in taken)
            taken.add(tensor)
        return found
