"""Concatenations in place: kernels write what they make where it lies in the joined tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgetvm.compile.lowering.concatenation import JOINED
from edgetvm.compile.memory.expressions import is_kernel_call
from edgetvm.compile.memory.flow import flow_of
from edgetvm.compile.memory.plan import Lifetime, lower_bound_bytes
from edgetvm.compile.memory.rows import Families, Rows
from edgetvm.compile.memory.strides import Lie, lying, takes_parts
from edgetvm.compile.memory.tensors import Tensors, tensors_of

if TYPE_CHECKING:
    from tvm.ir import IRModule

# What is added to the name of a kernel whose tensors are parts of others.
PLACED = "_placed"


def join_in_place(module: IRModule) -> IRModule:
    """Leave out the concatenations of a module of fused, unscheduled kernels, where that is better.

    What is left of one is `relax.concat`, which `plan_arenas` takes as a statement about places.
    """
    from tvm import relax

    result = module
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            families = _families(module, function)
            if families is not None and families.joints:
                result = _rewritten(result, variable, function, families)
    return result


def _families(module: IRModule, function: Any) -> Families | None:
    """Which tensors share memory; None where the function's tensors lie in no arena."""
    tensors = tensors_of(module, function)
    if tensors is None:
        return None
    flow = flow_of(function)
    joined = {
        one: int(kernel.attrs[JOINED])
        for one, call in flow.made.items()
        if (kernel := module[call.args[0]]).attrs and JOINED in kernel.attrs
    }
    families = Families(flow, _Kernels(module))
    # The largest first: the others may lie in it.
    for one in sorted(joined, key=lambda one: -math.prod(int(size) for size in one.ty.shape)):
        families.join(one, joined[one])
    return _without_what_takes_memory(families, tensors)


class _Kernels(dict[Any, bool]):
    """Which kernels can take parts of rows; found when it is asked."""

    def __init__(self, module: IRModule) -> None:
        self._module = module

    def __missing__(self, kernel: Any) -> bool:
        self[kernel] = takes_parts(self._module[kernel])
        return self[kernel]


def _without_what_takes_memory(families: Families, tensors: Tensors) -> Families:
    """The families but those that would raise the most that lives at one time.

    All rows live from the first part that is written to the last that is read.
    """
    lifetimes = {one: life for one, life in tensors.lifetimes.items() if one not in tensors.outputs}
    limit = lower_bound_bytes(list(lifetimes.values()))
    for rows in {id(one): one for one in families.rows.values()}.values():
        tried = _sharing(rows, lifetimes, tensors)
        if lower_bound_bytes(list(tried.values())) <= limit:
            lifetimes = tried
            continue
        for tensor in rows.parts:
            families.rows.pop(tensor)
            families.joints.pop(tensor, None)
    return families


def _sharing(
    rows: Rows, lifetimes: Mapping[Any, Lifetime], tensors: Tensors
) -> dict[Any, Lifetime]:
    parts = [tensors.lifetimes[one] for one in rows.parts if one in tensors.lifetimes]
    others = {one: life for one, life in lifetimes.items() if one not in rows.parts}
    if any(one in tensors.outputs for one in rows.parts):
        return others
    first, last = min(one.first for one in parts), max(one.last for one in parts)
    whole = next(one for one in rows.parts if rows.is_whole(one))
    return {**others, whole: Lifetime(max(one.size_bytes for one in parts), first, last)}


def _rewritten(module: IRModule, variable: Any, function: Any, families: Families) -> IRModule:
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    copies: dict[Any, Any] = {}

    @mutator
    class Joiner(PyExprMutator):  # type: ignore[misc]
        def visit_var_binding_(self, binding: Any) -> None:
            call = families.flow.made.get(binding.var)
            if binding.var in families.joints:
                self._bind(binding.var, self._joined(binding.var, call))
            elif is_kernel_call(binding.value):
                self._bind(binding.var, self._placed(binding.var, binding.value))
            else:
                super().visit_var_binding_(binding)

        def _joined(self, result: Any, call: Any) -> Any:
            parts = list(call.args[1].fields)
            for position, copy in families.joints[result].copied.items():
                parts[position] = self._copied(parts[position], copy, result.name)
            axis = int(module[call.args[0]].attrs[JOINED])
            return relax.op.concat([self.visit_expr(part) for part in parts], axis)

        def _copied(self, part: Any, copy: Any, name: str) -> Any:
            function = _copy_of(part)
            kernel = self.builder_.add_func(function, "copy")
            copies[kernel] = function
            call = relax.call_tir(kernel, [part], part.ty)
            return self.builder_.emit(self._placed(copy, call), name)

        def _placed(self, result: Any, call: Any) -> Any:
            variable, arguments = call.args[0], list(call.args[1].fields)
            lies = _lies(families, [*arguments, result])
            given = relax.Tuple([self.visit_expr(one) for one in arguments])
            if lies:
                function = copies[variable] if variable in copies else module[variable]
                placed = lying(function, lies)
                variable = self.builder_.add_func(placed, variable.name_hint + PLACED)
            others = [variable, given, *call.args[2:]]
            return relax.Call(call.op, others, call.attrs, call.ty_args, call.span)

        def _bind(self, old: Any, value: Any) -> None:
            new = type(old)(old.name, old.ty, old.span)
            self.set_var_remap(old, new)
            self.builder_.emit_normalized(relax.VarBinding(new, self.builder_.normalize(value)))

    joiner = Joiner(module)
    joiner.builder_.update_func(variable, joiner.visit_expr(function))
    made = relax.transform.DeadCodeElimination()(joiner.builder_.get())
    result: IRModule = made
    return result


def _lies(families: Families, values: list[Any]) -> dict[int, Lie]:
    """Of a kernel's arguments that do not lie as any tensor, by position."""
    from tvm import relax

    found = {}
    for position, value in enumerate(values):
        known = isinstance(value, relax.Var)
        tensor = families.flow.tensors.get(value, value) if known else None
        if tensor in families.rows:
            shape = [int(size) for size in value.ty.shape]
            lie = families.rows[tensor].lie(tensor, shape)
            if lie is not None:
                found[position] = lie
    return found


def _copy_of(value: Any) -> Any:
    """A kernel that copies a tensor."""
    from tvm import te, topi

    shape = [int(size) for size in value.ty.shape]
    source = te.placeholder(shape, str(value.ty.dtype), name="source")
    return te.create_prim_func([source, topi.identity(source)])
