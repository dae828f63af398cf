"""From a kernel's call back to the nodes of the source file that it computes.

Fusing forgets the variables it joins, and it joins equal groups into one function, so that a
function cannot say which of its calls stands for which nodes. What is fused is therefore found by
fusing twice: once with a mark on every call, which is only read. The names travel on in those of
the variables that hold the groups' results.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule

# In no name that TVM makes.
_JOINT = "|"
# Before the names of the model's own variables: TVM calls those that passes add as it calls these.
_MODELS = "%"
# Before a number: the names of those that passes have added.
_ADDED = "+"


def mark_variables(module: IRModule) -> IRModule:
    """The module with its variables called so that none that a pass adds has a name of theirs."""
    result = module.clone()
    for variable, function in graphs_of(module):
        names = [[_MODELS + binding.var.name] for binding in bindings_of(function)]
        result[variable] = _renamed(function, names)
    return result


def tell_variables_apart(module: IRModule) -> IRModule:
    """The module with one variable for each name: each pass begins to count at the same number."""
    result, counter = module.clone(), itertools.count()
    taken: set[str] = set()
    for variable, function in graphs_of(module):
        names = []
        for binding in bindings_of(function):
            name = str(binding.var.name)
            if not name.startswith(_MODELS) or name in taken:
                name = f"{_ADDED}{next(counter)}"
            taken.add(name)
            names.append([name])
        result[variable] = _renamed(function, names)
    return result


def fuse_named(module: IRModule) -> IRModule:
    """`FuseOps`, each group's variable named after all variables that went into it."""
    from tvm import relax

    fuse = relax.transform.FuseOps()
    marked, plain = fuse(_marked(module)), fuse(module)
    for variable, function in graphs_of(plain):
        groups: dict[Any, list[str]] = {}
        for binding in bindings_of(marked[variable]):
            # The output is a second variable for a result; a later pass keeps only that one.
            same = groups.get(binding.value) if isinstance(binding.value, relax.Var) else None
            groups[binding.var] = same or _marks(marked, binding.value)
        plain[variable] = _renamed(function, list(groups.values()))
    return plain


def names_in(variable: Any) -> list[str]:
    """The names of all variables that went into what a variable of a fused graph holds."""
    return [str(name) for name in variable.name.split(_JOINT)]


def nodes_of(function: Any, nodes: Mapping[str, str]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Each binding of a fused graph, with the names of the nodes that it computes.

    Args:
        function: of a module that `fuse_named` and `FuseTIR` made.
        nodes: by variable, see `Model.nodes`. What a pass made in several steps has the name on
            the last one: a variable without one belongs to the next that has one.
    """
    bindings = bindings_of(function)
    named: list[tuple[str, ...]] = []
    following = ""
    for binding in reversed(bindings):
        found = []
        for part in reversed(names_in(binding.var)):
            if part.startswith(_MODELS):
                following = nodes.get(part.removeprefix(_MODELS), following)
            if following and following not in found:
                found.append(following)
        named.append(tuple(reversed(found)))
    for binding, names in zip(bindings, reversed(named), strict=True):
        yield binding, names


def sources_of(function: Any) -> dict[Any, str]:
    """The model's own variable that each one of a graph belongs to: itself, or the next that is
    the model's."""
    found: dict[Any, str] = {}
    following = ""
    for binding in reversed(bindings_of(function)):
        for part in names_in(binding.var):
            if part.startswith(_MODELS):
                following = part.removeprefix(_MODELS)
        found[binding.var] = following
    return found


def graphs_of(module: IRModule) -> list[tuple[Any, Any]]:
    """The module's Relax functions but for those that hold one fused group."""
    from tvm import relax

    return [
        (variable, function)
        for variable, function in module.functions_items()
        if isinstance(function, relax.Function)
        and not (function.attrs and "Primitive" in function.attrs)
    ]


def bindings_of(function: Any) -> list[Any]:
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
    for variable, function in graphs_of(module):
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
        inner = [_marks(module, binding.value) for binding in bindings_of(callee)]
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
