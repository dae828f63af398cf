"""Rewrites of the graph that leave its answers but for rounding: what training left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.origins import tell_variables_apart

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Operators that sum products with weights.
WEIGHTED = ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d", "relax.matmul")


def unfold_batch_norm(module: IRModule) -> IRModule:
    """Batch normalisation with constant statistics becomes one multiplication and one addition."""
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    batch_norm = tvm.ir.Op.get("relax.nn.batch_norm")

    @mutator
    class Unfolder(PyExprMutator):  # type: ignore[misc]
        def visit_tuple_getitem_(self, item: Any) -> Any:
            call = item.tuple_value
            if isinstance(call, relax.Var):
                call = self.lookup_binding(call)
            if (
                item.index != 0
                or not isinstance(call, relax.Call)
                or call.op != batch_norm
                or not all(is_constant(one) for one in call.args[1:])
                or shape_of(call.args[0]) is None
            ):
                return super().visit_tuple_getitem_(item)
            data, attrs = call.args[0], call.attrs
            gamma, beta, mean, variance = (
                one.value.numpy().astype(np.float64) for one in call.args[1:]
            )
            scale = (gamma if attrs.scale else 1.0) / np.sqrt(variance + float(attrs.epsilon))
            shift = (beta if attrs.center else 0.0) - mean * scale
            axes = [1] * len(shape_of(data) or ())
            axes[int(attrs.axis)] = -1
            dtype = str(data.ty.dtype)
            scaled = self.builder_.emit(
                relax.op.multiply(data, constant(scale.reshape(axes).astype(dtype)))
            )
            return relax.op.add(scaled, constant(shift.reshape(axes).astype(dtype)))

    return on_functions(module, Unfolder(module))


def fold_scales(module: IRModule) -> IRModule:
    """A constant factor of each channel behind a convolution or product goes into its weights.

    Also behind its bias. Only where nothing else reads what lies between.
    """
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    multiply, add = tvm.ir.Op.get("relax.multiply"), tvm.ir.Op.get("relax.add")
    module = tell_variables_apart(module)
    readers = reader_counts(module)

    @mutator
    class Folder(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            folded = self._folded(call) if call.op == multiply else None
            return call if folded is None else folded

        def _folded(self, call: Any) -> Any:
            """The product with its factor in the weights, or None where it stays."""
            data, factor = _with_constant(call)
            made = None if factor is None else self._single(data)
            if made is None:
                return None
            if made.op != add:
                return _scaled(made, factor, call)
            inner, bias = _with_constant(made)
            weighted = None if bias is None else self._single(inner)
            scaled = None if weighted is None else _scaled(weighted, factor, call)
            if scaled is None:
                return None
            product = bias.value.numpy() * factor.value.numpy()
            return relax.op.add(self.builder_.emit(scaled), constant(product))

        def _single(self, data: Any) -> Any:
            """The call that makes `data`, if nothing else reads it."""
            if not isinstance(data, relax.Var) or readers.get(data.name, 2) > 1:
                return None
            value = self.lookup_binding(data)
            return value if isinstance(value, relax.Call) else None

    return on_functions(module, Folder(module))


def _scaled(weighted: Any, factor: Any, scaled: Any) -> Any:
    """The convolution or product with each feature's weights scaled; None where it cannot be.

    Args:
        weighted: its call.
        factor: a constant.
        scaled: the product of both.
    """
    from tvm import relax

    shape, name = shape_of(weighted), getattr(weighted.op, "name", "")
    weights = weighted.args[1] if name in WEIGHTED else None
    if shape is None or shape != shape_of(scaled) or weights is None or not is_constant(weights):
        return None
    array = weights.value.numpy()
    axes, features = [-1], -1
    if name != "relax.matmul":
        attrs = weighted.attrs
        axes = channel_axes(str(attrs.out_layout) or str(attrs.data_layout))
        features = str(attrs.kernel_layout).index("O")
    vector = along(factor.value.numpy(), axes, shape)
    if vector is None or array.dtype.kind != "f" or array.ndim < 2:
        return None
    place = [1] * array.ndim
    place[features] = -1
    changed = constant((array * vector.reshape(place)).astype(array.dtype))
    return relax.Call(weighted.op, [weighted.args[0], changed], weighted.attrs, weighted.ty_args)


def channel_axes(layout: str) -> list[int]:
    """Where a layout's channels lie: on one axis, or blocks on one and each block's on the last."""
    return [layout.index("C"), *([-1] if layout.endswith("c") else [])]


def along(value: Any, axes: Sequence[int], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """A constant that changes along some axes of a tensor at most, as a vector along them."""
    value = np.asarray(value)
    whole = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    extents = [1] * len(shape)
    for axis in axes:
        extents[axis] = shape[axis]
    if any(size not in (1, extent) for size, extent in zip(whole.shape, extents, strict=True)):
        return None
    return np.broadcast_to(whole, extents).reshape(-1)


def fold_pads(module: IRModule) -> IRModule:
    """Zeros round the input of a convolution become its padding."""
    import tvm
    from tvm import relax
    from tvm.relax.expr_functor import PyExprMutator, mutator

    pad = tvm.ir.Op.get("relax.nn.pad")

    @mutator
    class Folder(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name not in ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d"):
                return call
            source = call.args[0]
            made = self.lookup_binding(source) if isinstance(source, relax.Var) else None
            if not isinstance(made, relax.Call) or made.op != pad:
                return call
            attrs = made.attrs
            layout = str(call.attrs.data_layout)
            widths = [int(width) for width in attrs.pad_width]
            pairs = {letter: widths[2 * i : 2 * i + 2] for i, letter in enumerate(layout)}
            if (
                str(attrs.pad_mode) != "constant"
                or float(attrs.pad_value) != 0.0
                or min(widths) < 0
                or any(pairs["N"] + pairs["C"])
            ):
                return call
            spatial = [letter for letter in layout if letter in "DHW"]
            given = [int(one) for one in call.attrs.padding]
            more = [pairs[letter][0] for letter in spatial]
            more += [pairs[letter][1] for letter in spatial]
            make = getattr(relax.op.nn, name.removeprefix("relax.nn."))
            return make(
                made.args[0],
                call.args[1],
                strides=call.attrs.strides,
                padding=[one + two for one, two in zip(given, more, strict=True)],
                dilation=call.attrs.dilation,
                groups=int(call.attrs.groups),
                data_layout=layout,
                kernel_layout=str(call.attrs.kernel_layout),
                out_layout=str(call.attrs.out_layout),
                out_dtype=call.attrs.out_dtype or None,
            )

    return on_functions(module, Folder(module))


def _with_constant(call: Any) -> tuple[Any, Any]:
    """The operand that is computed and the one that is constant, if there is one of each."""
    left, right = call.args
    if is_constant(right) and not is_constant(left):
        return left, right
    if is_constant(left) and not is_constant(right):
        return right, left
    return left, None


def reader_counts(module: IRModule) -> Counter[str]:
    """How often each variable is read."""
    from tvm import relax

    found: Counter[str] = Counter()

    def visit(expr: Any) -> None:
        parts: tuple[Any, ...] = ()
        if isinstance(expr, relax.Call):
            parts = tuple(expr.args)
        elif isinstance(expr, relax.Tuple):
            parts = tuple(expr.fields)
        elif isinstance(expr, relax.TupleGetItem):
            parts = (expr.tuple_value,)
        elif isinstance(expr, relax.SeqExpr):
            parts = (expr.body, *(b.value for block in expr.blocks for b in block.bindings))
        elif isinstance(expr, relax.If):
            parts = (expr.cond,)
        for part in parts:
            if isinstance(part, relax.Var):
                found[part.name] += 1

    for _, function in module.functions_items():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    return found


def on_functions(module: IRModule, rewriter: Any) -> IRModule:
    """The module with every Relax function rewritten."""
    from tvm import relax

    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            rewriter.builder_.update_func(variable, rewriter.visit_expr(function))
    result: IRModule = rewriter.builder_.get()
    return result
