"""Relax expressions by the dozen: what is constant is computed with numpy, the rest is emitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def shape_of(value: Any) -> tuple[int, ...]:
    """The static shape of a tensor expression."""
    return tuple(int(axis) for axis in value.ty.shape)


def is_static(value: Any) -> bool:
    """Whether the shape of a tensor expression is known before the run."""
    from tvm import tirx

    axes = value.ty.shape
    return axes is not None and all(isinstance(axis, (int, tirx.IntImm)) for axis in axes)


def rank_of(value: Any) -> int:
    """How many axes a tensor expression has."""
    return len(value.ty.shape)


def dtype_of(value: Any) -> str:
    """numpy's name for the dtype of a tensor expression."""
    return str(value.ty.dtype)


def array_of(value: Any) -> Array | None:
    """The array of a constant, or None for what is only known when the model runs."""
    if not is_constant(value):
        return None
    array: Array = value.value.numpy()
    return array


def is_constant(value: Any) -> bool:
    """Whether `array_of` gives an array, which is a copy."""
    from tvm.ir.expr import GenericConst

    return isinstance(value, GenericConst)


def is_float(dtype: str) -> bool:
    """Whether a dtype's name is that of a floating-point type."""
    return dtype.startswith(("float", "bfloat"))


class Emitter:
    """Emits Relax operators into one block builder, folding those whose operands are constant."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def emit(self, expression: Any) -> Any:
        """Bind an expression to a variable."""
        return self.builder.emit(expression)

    def const(self, array: Any, dtype: str | None = None) -> Any:
        """A constant tensor."""
        from tvm import relax

        made = np.asarray(array, dtype)
        return relax.const(np.ascontiguousarray(made).reshape(made.shape), str(made.dtype))

    def like(self, number: float | bool, value: Any) -> Any:
        """A scalar constant of another expression's dtype."""
        return self.const(number, dtype_of(value))

    def te(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A tensor expression of our own as one kernel."""
        return self.builder.emit_te(function, *arguments, **named)

    def _apply(
        self, fold: Callable[..., Any], name: str, values: Sequence[Any], *attributes: Any
    ) -> Any:
        if all(map(is_constant, values)):
            with np.errstate(all="ignore"):
                result = np.asarray(fold(*map(array_of, values)))
            return self.const(result)
        return self.emit(self.operator(name)(*values, *attributes))

    @staticmethod
    def operator(name: str) -> Callable[..., Any]:
        """Relax's operator by its name: `add`, `nn.relu`."""
        from tvm import relax

        found: Any = relax.op
        for part in name.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""
        return self._apply(np.add, "add", (a, b))

    def subtract(self, a: Any, b: Any) -> Any:
        """a - b."""
        return self._apply(np.subtract, "subtract", (a, b))

    def multiply(self, a: Any, b: Any) -> Any:
        """a * b."""
        return self._apply(np.multiply, "multiply", (a, b))

    def divide(self, a: Any, b: Any) -> Any:
        """a / b, of floats."""
        return self._apply(np.divide, "divide", (a, b))

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of each pair."""
        return self._apply(np.maximum, "maximum", (a, b))

    def minimum(self, a: Any, b: Any) -> Any:
        """The smaller of each pair."""
        return self._apply(np.minimum, "minimum", (a, b))

    def less(self, a: Any, b: Any) -> Any:
        """a < b."""
        return self._apply(np.less, "less", (a, b))

    def equal(self, a: Any, b: Any) -> Any:
        """a == b."""
        return self._apply(np.equal, "equal", (a, b))

    def both(self, a: Any, b: Any) -> Any:
        """a and b, of booleans."""
        return self._apply(np.logical_and, "logical_and", (a, b))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """a where the condition holds, else b."""
        return self._apply(np.where, "where", (condition, a, b))

    def matmul(self, a: Any, b: Any) -> Any:
        """Matrix product."""
        return self._apply(np.matmul, "matmul", (a, b))

    def unary(self, name: str, value: Any) -> Any:
        """A Relax operator of one operand and no attribute."""
        return self.emit(self.operator(name)(value))

    def cast(self, value: Any, dtype: str) -> Any:
        """The value in another dtype, as C casts."""
        if dtype_of(value) == dtype:
            return value
        array = array_of(value)
        if array is not None:
            return self.const(array.astype(dtype))
        return self.emit(self.operator("astype")(value, dtype))

    def transpose(self, value: Any, axes: Sequence[int]) -> Any:
        """Axes in another order."""
        if list(axes) == list(range(len(axes))):
            return value
        return self._apply(
            lambda array: np.transpose(array, axes), "permute_dims", (value,), list(axes)
        )

    def reshape(self, value: Any, shape: Sequence[int]) -> Any:
        """The same elements in another static shape."""
        if tuple(shape) == shape_of(value):
            return value
        array = array_of(value)
        if array is not None:
            return self.const(array.reshape(tuple(shape)))
        return self.emit(self.operator("reshape")(value, tuple(int(size) for size in shape)))

    def broadcast(self, value: Any, shape: Sequence[int]) -> Any:
        """The value repeated to a static shape."""
        if tuple(shape) == shape_of(value):
            return value
        array = array_of(value)
        if array is not None:
            return self.const(np.broadcast_to(array, tuple(shape)))
        return self.emit(self.operator("broadcast_to")(value, tuple(int(size) for size in shape)))

    def concat(self, values: Sequence[Any], axis: int) -> Any:
        """Tensors one after the other along an axis."""
        if all(map(is_constant, values)):
            return self.const(np.concatenate([array_of(value) for value in values], axis))
        if len(values) == 1:
            return values[0]
        return self.emit(self.operator("concat")(list(values), axis))

    def slice(self, value: Any, axis: int, begin: int, end: int) -> Any:
        """Elements `begin` to `end` (not included) along an axis."""
        if begin == 0 and end == shape_of(value)[axis]:
            return value
        array = array_of(value)
        if array is not None:
            index = [slice(None)] * array.ndim
            index[axis] = slice(begin, end)
            return self.const(array[tuple(index)])
        return self.emit(self.operator("strided_slice")(value, [axis], [begin], [end]))

    def split(self, value: Any, parts: int, axis: int) -> list[Any]:
        """Equal parts along an axis."""
        axis %= len(shape_of(value))
        size = shape_of(value)[axis] // parts
        return [self.slice(value, axis, i * size, (i + 1) * size) for i in range(parts)]

    def take(self, value: Any, indices: Sequence[int] | Array, axis: int) -> Any:
        """Elements at constant indices along an axis."""
        array = array_of(value)
        if array is not None:
            return self.const(np.take(array, indices, axis))
        index = self.const(np.asarray(indices, np.int64))
        return self.emit(self.operator("take")(value, index, axis))

    def squeeze(self, value: Any, axis: int) -> Any:
        """Without an axis of one element."""
        shape = shape_of(value)
        axis %= len(shape)
        return self.reshape(value, shape[:axis] + shape[axis + 1 :])

    def unsqueeze(self, value: Any, axis: int) -> Any:
        """With a new axis of one element."""
        shape = shape_of(value)
        axis %= len(shape) + 1
        return self.reshape(value, (*shape[:axis], 1, *shape[axis:]))

    def softplus(self, value: Any) -> Any:
        """log(1 + e^x), without overflow and exact where it is tiny."""
        from tvm import te, tirx

        dtype = dtype_of(value)
        wide, name = ("float64", "log1p") if dtype == "float64" else ("float32", "log1pf")

        def compute(data: Any) -> Any:
            # libm's: of log(1 + u), TVM would simplify what any trick for accuracy rests on.
            return te.compute(
                data.shape,
                lambda *i: tirx.call_pure_extern(wide, name, data[i].astype(wide)).astype(dtype),
                name="log1p",
            )

        small = self.unary("exp", self.unary("negative", self.unary("abs", value)))
        return self.add(self.maximum(value, self.like(0, value)), self.te(compute, small))

    def clip(self, value: Any, low: float, high: float) -> Any:
        """Bounded from below and above."""
        return self.minimum(self.maximum(value, self.like(low, value)), self.like(high, value))
