"""Chains of constant factors and terms joined into one of each: `x * a + b`, then into weights.

That changes roundings, and what overflows on the way: it is for the approximate level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.origins import tell_variables_apart
from edgetvm.compile.simplify import WEIGHTED, along, channel_axes, on_functions, reader_counts

if TYPE_CHECKING:
    from tvm.ir import IRModule

Array = NDArray[np.float64]
_ONE, _ZERO = np.float64(1.0), np.float64(0.0)


class Affine(NamedTuple):
    """A tensor as `base * factor + term`, constants of float64 that broadcast to the base."""

    base: Any
    factor: Any = _ONE
    term: Any = _ZERO


# From the form of the operand and the constant to the form of the result.
_STEPS: dict[tuple[str, bool], Callable[[Affine, Array], Affine | None]] = {
    ("relax.multiply", False): lambda x, c: Affine(x.base, x.factor * c, x.term * c),
    ("relax.multiply", True): lambda x, c: Affine(x.base, x.factor * c, x.term * c),
    ("relax.divide", False): lambda x, c: (
        Affine(x.base, x.factor / c, x.term / c) if np.all(c != 0) else None
    ),
    ("relax.add", False): lambda x, c: Affine(x.base, x.factor, x.term + c),
    ("relax.add", True): lambda x, c: Affine(x.base, x.factor, x.term + c),
    ("relax.subtract", False): lambda x, c: Affine(x.base, x.factor, x.term - c),
    ("relax.subtract", True): lambda x, c: Affine(x.base, -x.factor, c - x.term),
}


def join_factors(module: IRModule) -> IRModule:
    """Constant factors and terms that follow one another become one of each.

    Divisions by constants become products. What stands before a convolution or product goes into
    its weights.
    """
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    module = tell_variables_apart(module)
    readers = reader_counts(module)

    @mutator
    class Joiner(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            self.single: dict[Any, bool] = {}

        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            step = _step(call)
            if step is None:
                return self._absorbing(call)
            operand, follow, array = step
            before = self._form(operand)
            form = follow(before, array)
            if form is None or not _fits(form, call):
                return call
            if max(map(np.size, form[1:])) > max(*map(np.size, before[1:]), array.size):
                return call  # a whole map of constants out of a row and a column
            return self._made(form, str(call.ty.dtype))

        def _form(self, operand: Any) -> Affine:
            """The operand as factor and term, as far back as nothing else reads it."""
            form, reached = Affine(operand), operand
            for name in ("relax.add", "relax.multiply"):
                call = self._alone(reached)
                step = None if call is None or call.op.name != name else _step(call)
                if step is None:
                    continue
                reached, _, array = step
                if name == "relax.add":
                    form = Affine(reached, form.factor, array)
                else:
                    form = Affine(reached, array, form.term)
            return form

        def _alone(self, value: Any) -> Any:
            """The operator's call that makes a value which only one other reads."""
            if not isinstance(value, relax.Var):
                return None
            if value not in self.single and readers.get(value.name, 2) > 1:
                return None
            call = self.lookup_binding(value)
            known = isinstance(call, relax.Call) and hasattr(call.op, "name")
            return call if known else None

        def _made(self, form: Affine, dtype: str) -> Any:
            result = form.base
            if np.any(form.factor != 1):
                result = relax.op.multiply(result, constant(np.asarray(form.factor, dtype)))
            if np.any(form.term != 0):
                if result is not form.base:
                    result = self.builder_.emit(result)
                    self.single[result] = True
                result = relax.op.add(result, constant(np.asarray(form.term, dtype)))
            return result

        def _absorbing(self, call: Any) -> Any:
            """A convolution or product with what stands before it in its weights."""
            if getattr(call.op, "name", "") not in WEIGHTED or not is_constant(call.args[1]):
                return call
            form = self._form(call.args[0])
            if form.base is call.args[0]:
                return call
            weighted = _weighted(call, form)
            if weighted is None:
                return call
            weights, term = weighted
            dtype = str(call.args[1].ty.dtype)
            made = relax.Call(
                call.op, [form.base, constant(weights.astype(dtype))], call.attrs, call.ty_args
            )
            if not np.any(term):
                return made
            inner = self.builder_.emit(made)
            self.single[inner] = True
            return relax.op.add(inner, constant(term.astype(str(call.ty.dtype))))

    # What was joined must not count as a reader when scales are folded.
    result: IRModule = relax.transform.DeadCodeElimination()(on_functions(module, Joiner(module)))
    return result


def _step(call: Any) -> tuple[Any, Callable[[Affine, Array], Affine | None], Array] | None:
    """A call that multiplies with a constant or adds one: operand, what it does, the constant."""
    name = getattr(call.op, "name", "")
    if (name, False) not in _STEPS or len(call.args) != 2:
        return None
    left, right = call.args
    swapped = is_constant(left)
    operand, known = (right, left) if swapped else (left, right)
    if not is_constant(known) or is_constant(operand) or (name, swapped) not in _STEPS:
        return None
    array = known.value.numpy()
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        return None
    return operand, _STEPS[name, swapped], array.astype(np.float64)


def _fits(form: Affine, call: Any) -> bool:
    """Whether the constants stay numbers of the dtype, and the result keeps its shape."""
    shape, whole = shape_of(form.base), shape_of(call)
    if shape is None or shape != whole or form.base.ty.dtype != call.ty.dtype:
        return False
    dtype = np.dtype(str(call.ty.dtype))
    with np.errstate(over="ignore"):
        parts = [np.asarray(one).astype(dtype) for one in form[1:]]
    return all(
        np.isfinite(part).all() and np.broadcast_shapes(part.shape, shape) == shape
        for part in parts
    )


def _weighted(call: Any, form: Affine) -> tuple[Array, Array] | None:
    """Weights with the factor, and what the term adds to the result; None where it cannot be."""
    array = call.args[1].value.numpy()
    if array.dtype.kind != "f":
        return None
    shape, whole_shape = shape_of(call.args[0]), shape_of(call) or ()
    if call.op.name == "relax.matmul":
        given, made, padded, groups, kernel = [-1], [-1], False, 1, "IO"
    else:
        attrs = call.attrs
        given, kernel = channel_axes(str(attrs.data_layout)), str(attrs.kernel_layout)
        made = channel_axes(str(attrs.out_layout) or str(attrs.data_layout))
        padded, groups = any(int(one) for one in attrs.padding), int(attrs.groups)
    if shape is None or len(kernel) != array.ndim or (padded and np.any(form.term)):
        return None
    factor = along(form.factor, given, shape)
    added = along(form.term, given, shape)
    if factor is None or added is None:
        return None
    features, inputs = kernel.index("O"), kernel.index("I")
    whole = np.moveaxis(array.astype(np.float64), (features, inputs), (0, 1))

    def spread(vector: Array) -> Array:
        """One number for each channel that each feature sees."""
        seen = vector.reshape(groups, -1).repeat(len(whole) // groups, axis=0)
        return seen.reshape(*seen.shape, *[1] * (whole.ndim - 2))

    scaled, term = whole * spread(factor), (whole * spread(added)).reshape(len(whole), -1)
    place = [1] * len(whole_shape)
    for axis in made:
        place[axis] = whole_shape[axis]
    return np.moveaxis(scaled, (0, 1), (features, inputs)), term.sum(axis=1).reshape(place)
