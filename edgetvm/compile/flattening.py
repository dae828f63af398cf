"""Pointwise convolutions see a map as one row.

A register tile takes a few points of a row. Where a convolution looks at each point by itself, the
rows of a map may as well be one: 14 x 14 points are 49 tiles of four, but a row of 14 is not a
whole number of them. The other shape is a view, and element-wise operators behind keep it, so that
they stay in the convolution's kernel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.origins import tell_variables_apart
from edgetvm.compile.simplify import on_functions, reader_counts

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Operators that compute each element of their result from those at the same place.
_ELEMENTWISE = frozenset(
    f"relax.{name}"
    for name in """
    add subtract multiply divide maximum minimum clip power exp log sqrt rsqrt tanh sigmoid erf abs
    negative square nn.relu nn.silu nn.gelu nn.gelu_tanh nn.leakyrelu astype round floor ceil
    """.split()
)


def flatten_pointwise(module: IRModule) -> IRModule:
    """Join rows and columns of what pointwise convolutions take and give, but for planes."""
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    module = tell_variables_apart(module)
    readers = reader_counts(module)

    @mutator
    class Flattener(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            self.flat: dict[Any, Any] = {}

        def visit_var_binding_(self, binding: Any) -> None:
            call = binding.value
            if not isinstance(call, relax.Call) or not isinstance(binding.var, relax.DataflowVar):
                super().visit_var_binding_(binding)
                return
            call = self.builder_.normalize(self.visit_expr(call))
            flat = self._flattened(call)
            made = call if flat is None else flat
            new = type(binding.var)(binding.var.name, made.ty, binding.var.span)
            self.builder_.emit_normalized(relax.VarBinding(new, made))
            if flat is not None:
                whole = self.builder_.emit(relax.op.reshape(new, shape_of(call)))
                self.flat[whole] = new
                new = whole
            self.set_var_remap(binding.var, new)

        def _flattened(self, call: Any) -> Any:
            """The call on flat tensors, or None where it is better left."""
            made = self._pointwise(call) if is_pointwise(call) else self._elementwise(call)
            return None if made is None else self.builder_.normalize(made)

        def _pointwise(self, call: Any) -> Any:
            data = self._flat(call.args[0])
            return relax.Call(call.op, [data, call.args[1]], call.attrs, call.ty_args)

        def _elementwise(self, call: Any) -> Any:
            if getattr(call.op, "name", "") not in _ELEMENTWISE or not _is_map(call):
                return None
            # What is read elsewhere too is not fused with this one: there is nothing to keep.
            if not any(one in self.flat and readers[self.flat[one].name] == 1 for one in call.args):
                return None
            operands = self._flat_operands(call)
            if operands is None:
                return None
            return relax.Call(call.op, operands, call.attrs, call.ty_args)

        def _flat_operands(self, call: Any) -> list[Any] | None:
            """The operands on flat maps; None where one is neither a map nor alike for all points.

            The call's result is a map.
            """
            size = (shape_of(call) or ())[-3:-1]
            if not all(_is_map(one, size) or _is_alike(one) for one in call.args):
                return None
            return [self._flat(one) if _is_map(one, size) else one for one in call.args]

        def _flat(self, data: Any) -> Any:
            if data in self.flat:
                return self.flat[data]
            shape = _flat_shape(shape_of(data) or ())
            if is_constant(data):
                return constant(data.value.numpy().reshape(shape))
            self.flat[data] = self.builder_.emit(self._spread(data, shape), data.name)
            return self.flat[data]

        def _spread(self, data: Any, shape: tuple[int, ...]) -> Any:
            """The view, or what makes it flat, of smaller tensors that are spread over the map."""
            call: Any = self.lookup_binding(data) if readers[data.name] == 1 else None
            if getattr(getattr(call, "op", None), "name", "") in _ELEMENTWISE and all(
                math.prod(shape_of(one) or shape) < math.prod(shape) for one in call.args
            ):
                operands = self._flat_operands(call)
                if operands is not None:
                    return relax.Call(call.op, operands, call.attrs, call.ty_args)
            return relax.op.reshape(data, shape)

    return on_functions(module, Flattener(module))


def is_pointwise(call: Any) -> bool:
    """Whether a call is a convolution of maps that sees every point by itself, and may be flat."""
    if getattr(call.op, "name", "") != "relax.nn.conv2d" or not is_constant(call.args[1]):
        return False
    attrs = call.attrs
    return (
        all(_ends_in_channels(str(one)) for one in (attrs.data_layout, attrs.out_layout))
        and str(attrs.kernel_layout) == "HWIO"
        and _is_map(call.args[0])
        and (shape_of(call.args[1]) or ())[:2] == (1, 1)
        and {int(one) for one in attrs.strides} == {1}
        and not any(int(one) for one in attrs.padding)
        and int(attrs.groups) == 1
    )


def _ends_in_channels(layout: str) -> bool:
    return layout in ("", "NHWC") or layout.endswith("c")


def _is_map(value: Any, size: tuple[int, ...] | None = None) -> bool:
    """Whether a tensor has several rows of several points, so many if they are given."""
    shape = shape_of(value) or ()
    own = shape[-3:-1]
    return len(shape) in (4, 5) and (min(own) > 1 if size is None else own == size)


def _is_alike(value: Any) -> bool:
    """Whether a tensor is the same for all points."""
    shape = shape_of(value)
    return shape is not None and (len(shape) < 2 or math.prod(shape[-3:-1]) == 1)


def _flat_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    *outer, rows, columns, channels = shape
    return *outer, 1, rows * columns, channels
