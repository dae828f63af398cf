"""Scratch memory of kernels, as an argument of theirs.

A kernel that stages a tensor (padding, a sum before what is done with it) would take it from a
pool of TVM's runtime, which nobody plans and which keeps it. As an argument it lies in the arena.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.memory.kernels import MOST_STACK_BYTES, size_bytes
from edgetvm.compile.schedules.strips import APART

if TYPE_CHECKING:
    from tvm.ir import IRModule


def scratch_as_arguments(module: IRModule) -> IRModule:
    """Let callers give what kernels need beside inputs and outputs, and the stack cannot hold."""
    from tvm import relax, tirx
    from tvm.relax.expr_functor import PyExprMutator, mutator

    scratch: dict[Any, list[Any]] = {}
    others = module.clone()
    for variable, function in module.functions_items():
        if isinstance(function, tirx.PrimFunc) and (found := _staged(function)):
            scratch[variable] = found
            # It comes back by its name, with another type.
            del others[variable]

    @mutator
    class Giver(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            if call.op not in scratch:
                return super().visit_call_(call)
            arguments = [self.visit_expr(argument) for argument in call.args]
            for buffer in scratch[call.op]:
                shape = relax.ShapeExpr(list(buffer.shape))
                tensor = relax.op.builtin.alloc_tensor(shape, str(buffer.dtype), 0)
                arguments.append(self.builder_.emit(tensor, "scratch"))
            return relax.Call(taking[call.op], arguments, call.attrs, call.ty_args, call.span)

    giver = Giver(others)
    taking = {
        variable: giver.builder_.add_func(_taking(module[variable], buffers), variable.name_hint)
        for variable, buffers in scratch.items()
    }
    for variable, function in others.functions_items():
        if isinstance(function, relax.Function):
            giver.builder_.update_func(variable, giver.visit_expr(function))
    result: IRModule = giver.builder_.get()
    return result


def _staged(function: Any) -> list[Any]:
    """Buffers that several loops of a kernel use, one after another, or in parts of their own."""
    from tvm import s_tir

    root = function.body.block
    users = s_tir.analysis.detect_buffer_access_lca(function)
    apart = root.annotations.get(APART, ())
    return [
        buffer
        for buffer in root.alloc_buffers
        if (root.same_as(users.get(buffer)) or buffer.name in apart)
        and (size_bytes(buffer) or 0) > MOST_STACK_BYTES
    ]


def _taking(function: Any, buffers: list[Any]) -> Any:
    """A kernel with buffers of its own as its last arguments."""
    from tvm import s_tir, tirx

    root = function.body.block
    block = s_tir.SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        root.body,
        root.init,
        [one for one in root.alloc_buffers if not any(one.same_as(taken) for taken in buffers)],
        root.match_buffers,
        root.annotations,
        root.span,
    )
    body = s_tir.SBlockRealize(function.body.iter_values, function.body.predicate, block)
    params = [*function.params, *buffers]
    return tirx.PrimFunc(params, body, function.ret_type, function.attrs, function.span)
