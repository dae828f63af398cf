"""From a kernel's call back to the nodes of the source file that it computes.

Fusing forgets the variables it joins, and it joins equal groups into one function, so that a
function cannot say which of its calls stands for which nodes. What is fused is therefore found by
fusing twice: once with a mark on every call, which is only read. The names travel on in those of
the variables that hold the groups' results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule

# In no name that TVM makes.
_JOINT = "|"


def fuse_named(module: IRModule) -> IRModule:
    """`FuseOps`, each group's variable named after all variables that went into it."""
    from tvm import relax

    fuse = relax.transform.FuseOps()
    marked, plain = fuse(_marked(module)), fuse(module)
    for variable, function in _graphs(plain):
        groups: dict[Any, list[str]] = {}
        for binding in _bindings(marked[variable]):
            # The output is a second variable for a result; a later pass keeps only that one.
            same = groups.get(binding.value) if isinstance(binding.value, relax.Var) else None
            groups[binding.var] = same or _marks(marked, binding.value)
        plain[variable] = _renamed(function, list(groups.values()))
    return plain


def nodes_of(function: Any, nodes: Mapping[str, str]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Each bound value of a fused graph, with the names of the nodes that it computes.

    Args:
        function: of a module that `fuse_named` and `FuseTIR` made.
        nodes: by variable, see `Model.nodes`. What a pass made in several steps has the name on
            the last one: a variable without one belongs to the next that has one.
    """
    bindings = _bindings(function)
    named: list[tuple[str, ...]] = []
    following = ""
    for binding in reversed(bindings):
        found = []
        for part in reversed(binding.var.name.split(_JOINT)):
            following = nodes.get(part, following)
            if following and following not in found:
                found.append(following)
        named.append(tuple(reversed(found)))
    for binding, names in zip(bindings, reversed(named), strict=True):
        yield binding.value, names


def _graphs(module: IRModule) -> list[tuple[Any, Any]]:
    from tvm import relax

    return [
        (variable, function)
        for variable, function in module.functions_items()
        if isinstance(function, relax.Function)
        and not (function.attrs and "Primitive" in function.attrs)
    ]


def _bindings(function: Any) -> list[Any]:
    """All bindings in their order; what a branch binds comes before what is bound to the branch."""
    from tvm import relax

    found: list[Any] = []

    def visit(body: Any) -> None:
        for block in body.blocks if isinstance(body, relax.SeqExpr) else ():
            for binding in block.bindings:
                if isinstance(binding.value, relax.If):
                    visit(binding.value.true_branch)
                    visit(binding.value.false_branch)
                found.append(binding)

    visit(function.body)
    return found


def _marked(module: IRModule) -> IRModule:
    """The module with every call of a kernel carrying the name of the variable it is bound to."""
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    call_tir = tvm.ir.Op.get("relax.call_tir")

    @mutator
    class Marker(PyExprMutator):  # type: ignore[misc]
        def visit_var_binding_(self, binding: Any) -> None:
            call = binding.value
            if isinstance(call, relax.Call) and call.op == call_tir:
                mark = tvm.ir.make_node("ir.DictAttrs", mark=binding.var.name)
                call = relax.Call(call.op, call.args, mark, call.ty_args, call.span)
                binding = relax.VarBinding(binding.var, call)
            super().visit_var_binding_(binding)

    marker = Marker(module)
    for variable, function in _graphs(module):
        marker.builder_.update_func(variable, marker.visit_expr(function))
    result: IRModule = marker.builder_.get()
    return result


def _marks(module: IRModule, value: Any) -> list[str]:
    """The marks of a call: its own, or those within the function that it calls."""
    from tvm import relax
    from tvm.ir import DictAttrs, GlobalVar

    if not isinstance(value, relax.Call):
        return []
    if isinstance(value.op, GlobalVar):
        callee = module[value.op]
        if not (callee.attrs and "Primitive" in callee.attrs):
            return []
        inner = [_marks(module, binding.value) for binding in _bindings(callee)]
        return [mark for marks in inner for mark in marks]
    marked = isinstance(value.attrs, DictAttrs) and "mark" in value.attrs
    return [str(value.attrs["mark"])] if marked else []


def _renamed(function: Any, groups: list[list[str]]) -> Any:
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    waiting = iter(groups)

    @mutator
    class Renamer(PyExprMutator):  # type: ignore[misc]
        def visit_var_binding_(self, binding: Any) -> None:
            value, old = self.visit_expr(binding.value), binding.var
            new = type(old)(_JOINT.join(next(waiting)) or old.name, old.ty, old.span)
            self.set_var_remap(old, new)
            self.builder_.emit_normalized(relax.VarBinding(new, value))

    return Renamer().visit_expr(function)
