"""Reshapes as views: what gives the same elements another shape is no kernel.

A kernel that only reshapes (squeezes, flattens, permutes axes of one element) becomes a view of
its source. One that begins or ends with a reshape gives it away: it takes a view, or its result is
viewed. That leaves a simpler kernel, which more schedule rules know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.memory.expressions import is_kernel_call, needed, substituted, variables

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class _Peeled:
    """A fused function without the reshapes that it began and ended with.

    Attributes:
        arguments: for each of `parameters`, the index of the old one that it is taken from, and
            the shape that this is viewed in; None for its own.
        parameters: of what is left.
        bindings: that are left, as variable and value.
        result: the variable of the result: of a binding, or a parameter.
        shape: that the result is viewed in; None for its own.
    """

    arguments: tuple[tuple[int, Any], ...]
    parameters: tuple[Any, ...]
    bindings: tuple[tuple[Any, Any], ...]
    result: Any
    shape: Any


def reshapes_as_views(module: IRModule) -> IRModule:
    """Turn the reshapes of a module that `fuse_named` made into views, where nothing is copied."""
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    relaxed = [
        (variable, function)
        for variable, function in module.functions_items()
        if isinstance(function, relax.Function)
    ]
    fused = {variable: function for variable, function in relaxed if _is_fused(function)}
    peeled = {
        variable: left
        for variable, function in fused.items()
        if (left := _peel(module, function)) is not None
    }

    @mutator
    class Viewer(PyExprMutator):  # type: ignore[misc]
        def visit_var_binding_(self, binding: Any) -> None:
            call = binding.value
            source = _reshaped(module, call)
            if source is not None:
                self._bind(binding.var, relax.op.reshape(self.visit_expr(source), call.ty.shape))
            elif isinstance(call, relax.Call) and call.op in peeled:
                arguments = [self.visit_expr(argument) for argument in call.args]
                self._bind(binding.var, self._call(peeled[call.op], arguments, binding.var.name))
            else:
                super().visit_var_binding_(binding)

        def _bind(self, old: Any, value: Any) -> None:
            new = type(old)(old.name, old.ty, old.span)
            self.set_var_remap(old, new)
            self.builder_.emit_normalized(relax.VarBinding(new, self.builder_.normalize(value)))

        def _call(self, left: _Peeled, arguments: Sequence[Any], name: str) -> Any:
            # All variables get the group's name: it tells which nodes the kernel computes.
            given = []
            for index, shape in left.arguments:
                one = arguments[index]
                given.append(one if shape is None else self._view(one, shape, name))
            if len(left.bindings) > 1:
                function, kernel = _function(left)
                value = relax.Call(self.builder_.add_func(function, kernel), given)
            else:
                known = dict(zip(left.parameters, given, strict=True))
                value = substituted(dict(left.bindings).get(left.result, left.result), known)
            if left.shape is None:
                return value
            return relax.op.reshape(self.builder_.emit(value, name), left.shape)

        def _view(self, source: Any, shape: Any, name: str) -> Any:
            return self.builder_.emit(relax.op.reshape(source, shape), name)

    viewer = Viewer(module)
    for variable, function in relaxed:
        if variable not in fused:
            viewer.builder_.update_func(variable, viewer.visit_expr(function))
    result: IRModule = viewer.builder_.get()
    return result


def _is_fused(function: Any) -> bool:
    return bool(function.attrs and "Primitive" in function.attrs)


def _reshaped(module: IRModule, value: Any) -> Any:
    """What a value is a reshape of: the source of a call whose kernel does nothing else."""
    from tvm import relax, sym, tirx

    if not is_kernel_call(value):
        return None
    if len(value.args) != 2 or len(value.args[1].fields) != 1:  # it takes shapes, or more tensors
        return None
    (source,) = value.args[1].fields
    types = (source.ty, value.ty)
    if not all(isinstance(one, relax.TensorType) and one.shape is not None for one in types):
        return None
    if not relax.analysis.has_reshape_pattern(module[value.args[0]]):
        return None
    # The first rows of a tensor have that pattern too.
    sizes = [math.prod(one.shape, start=tirx.const(1, "int64")) for one in types]
    return source if sym.Analyzer().can_prove_equal(*sizes) else None


def _peel(module: IRModule, function: Any) -> _Peeled | None:
    """A fused function without its first and last reshapes, or None where it has none."""
    from tvm import relax

    # What a variable stands for: the index of a parameter, and the shape that this is viewed in.
    taken: dict[Any, tuple[int, Any]] = {
        parameter: (index, None) for index, parameter in enumerate(function.params)
    }
    bindings: dict[Any, Any] = {}
    (block,) = function.body.blocks
    for binding in block.bindings:
        source = _reshaped(module, binding.value)
        if isinstance(source, relax.Var) and source in taken:
            taken[binding.var] = (taken[source][0], binding.var.ty.shape)
        else:
            bindings[binding.var] = binding.value
    result = function.body.body
    source = _reshaped(module, bindings.get(result))
    while source is not None:
        result = source
        source = _reshaped(module, bindings.get(result))
    left = needed(tuple(bindings.items()), result)
    if len(left) == len(block.bindings):
        return None
    used = variables([*(value for _, value in left), result])
    parameters = tuple(variable for variable in taken if variable in used)
    return _Peeled(
        arguments=tuple(taken[variable] for variable in parameters),
        parameters=parameters,
        bindings=tuple(left),
        result=result,
        shape=None if result.same_as(function.body.body) else function.ret_ty.shape,
    )


def _function(left: _Peeled) -> tuple[Any, str]:
    """What is left, as a function for `FuseTIR`, and its name."""
    from tvm import relax

    builder = relax.BlockBuilder()
    known: dict[Any, Any] = {}
    with builder.function("main", list(left.parameters), {"Primitive": True}, private=True):
        with builder.dataflow():
            for variable, value in left.bindings:
                emit = builder.emit_output if variable.same_as(left.result) else builder.emit
                known[variable] = emit(substituted(value, known), variable.name)
        builder.emit_func_output(known[left.result])
    names = [value.args[0].name_hint for _, value in left.bindings if is_kernel_call(value)]
    return builder.finalize()["main"], "_".join(["fused", *names])
