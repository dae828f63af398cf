"""Primitives that compute on constants at once with numpy, and on all else in Relax.

Operators are written with these alone. What depends on constants only (shapes, weights to be
unpacked, tables of 256 entries, what CALL_ONCE assigns) so folds away while it is lowered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite.budget import Budget

# A constant or a Relax variable; a variable's name for its handle; None for what is unknown.
Value = Any


@dataclass(frozen=True)
class Complex:
    """A tensor of complex numbers, which TVM does not have."""

    real: Value
    imaginary: Value


def is_tensor(value: Value) -> bool:
    """Whether the value is a constant or a Relax variable."""
    return not (value is None or isinstance(value, str | Complex))


def is_constant(value: Value) -> bool:
    """Whether the value is known now."""
    return isinstance(value, np.ndarray)


def shape_of(value: Value) -> tuple[int, ...]:
    """The static shape."""
    shape = value.shape if is_constant(value) else value.ty.shape
    return tuple(int(size) for size in shape)


def dtype_of(value: Value) -> str:
    """numpy's name of the dtype."""
    return value.dtype.name if is_constant(value) else str(value.ty.dtype)


def _divide(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    return np.asarray(np.trunc(a / b))  # integers divide towards zero, as in C


def _erf(a: NDArray[Any]) -> NDArray[Any]:
    from scipy.special import erf

    return np.asarray(erf(a))


# Relax's name of an element-wise operator to what numpy computes for it.
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": _divide,
    "floor_divide": np.floor_divide,
    "floor_mod": np.mod,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
    "bitwise_xor": np.bitwise_xor,
    "atan2": np.arctan2,
    "abs": np.abs,
    "negative": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "erf": _erf,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sign": np.sign,
}
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
}


class Emitter:
    """Writes into one Relax block builder. `e("add", a, b)` is element-wise, see the tables."""

    def __init__(self, builder: Any, budget: Budget) -> None:
        self._builder = builder
        self._constants: dict[tuple[Any, ...], tuple[NDArray[Any], Any]] = {}
        self.budget = budget
        self.label = ""

    # Both worlds

    def __call__(self, name: str, *values: Value | float) -> Value:
        """An element-wise operator on values of one dtype; plain numbers take the others' dtype."""
        from tvm import relax

        dtype = next(dtype_of(value) for value in values if not isinstance(value, int | float))
        operands = [
            np.asarray(value, dtype) if isinstance(value, int | float) else value
            for value in values
        ]
        if not all(map(is_constant, operands)):
            return self.relax(getattr(relax.op, name), *operands)
        fold = _ELEMENTWISE.get(name) or _COMPARISONS[name]
        self.budget.step()
        self.budget.constant(np.broadcast_shapes(*map(np.shape, operands)), dtype)
        with np.errstate(all="ignore"):
            return np.asarray(fold(*operands)).astype(dtype if name in _ELEMENTWISE else "bool")

    def relax(self, make: Callable[..., Any], *values: Value, **attributes: Any) -> Value:
        """What a Relax operator gives for values, constants among them."""
        return self.emit(make(*(self.lifted(value) for value in values), **attributes))

    def emit(self, expression: Any) -> Value:
        """A variable bound to an expression."""
        if self._builder is None:
            raise ValueError("it is not known before the first run")
        self.budget.step()
        self._builder.node = self.label
        made = self._builder.emit(expression)
        if hasattr(made.ty, "shape"):  # not a tuple
            self.budget.tensor(shape_of(made), dtype_of(made))
        return made

    def lifted(self, value: Value) -> Any:
        """The value as a Relax expression; an array that is used twice becomes one constant."""
        from tvm import relax

        if not is_constant(value):
            return value
        key = (value.__array_interface__["data"][0], value.strides, value.shape, value.dtype.str)
        if key not in self._constants:
            self.budget.constant(value.shape, value.dtype.name)
            array = np.array(value, value.dtype.newbyteorder("="), order="C")
            made = relax.const(array, array.dtype.name)
            # The array stays: its address is the key.
            self._constants[key] = (value, made)
        return self._constants[key][1]

    def full(self, shape: Sequence[int], value: float, dtype: str) -> NDArray[Any]:
        """A constant that is one number everywhere."""
        self.budget.constant(shape, dtype)
        return np.full(shape, value, dtype)

    def indices(self, size: int, dtype: str = "int32") -> NDArray[Any]:
        """0, 1, 2 and so on."""
        self.budget.constant((size,), "int64")
        return np.arange(size, dtype=dtype)

    def _either(
        self,
        value: Value,
        shape: Sequence[int],
        fold: Callable[[NDArray[Any]], Any],
        make: Callable[[Any], Any],
    ) -> Value:
        """A result of `shape`, `()` for a view: at once or in Relax."""
        if not is_constant(value):
            return self.emit(make(value))
        self.budget.step()
        self.budget.constant(shape, dtype_of(value))
        with np.errstate(all="ignore"):
            return np.asarray(fold(value))

    # Types and shapes

    def cast(self, value: Value, dtype: str) -> Value:
        """The same numbers in another dtype; floats are cut towards zero."""
        from tvm import relax

        if dtype_of(value) == dtype:
            return value
        return self._either(
            value,
            shape_of(value),
            lambda a: a.astype(dtype),
            lambda v: relax.op.astype(v, dtype),
        )

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The same elements; one size may be -1."""
        from tvm import relax

        sizes = [int(size) for size in shape]
        if -1 in sizes:
            known = math.prod(size for size in sizes if size != -1)
            sizes[sizes.index(-1)] = math.prod(shape_of(value)) // max(known, 1)
        if math.prod(sizes) != math.prod(shape_of(value)) or min(sizes, default=0) < 0:
            raise ValueError(f"{list(shape_of(value))} cannot be reshaped to {list(shape)}")
        if tuple(sizes) == shape_of(value):
            return value
        return self._either(
            value, sizes, lambda a: a.reshape(sizes), lambda v: relax.op.reshape(v, sizes)
        )

    def transpose(self, value: Value, axes: Sequence[int]) -> Value:
        """The axes in another order."""
        from tvm import relax

        order = [int(axis) for axis in axes]
        if order == list(range(len(order))):
            return value
        return self._either(
            value, (), lambda a: a.transpose(order), lambda v: relax.op.permute_dims(v, order)
        )

    def broadcast(self, value: Value, shape: Sequence[int]) -> Value:
        """Repeat axes of size 1."""
        from tvm import relax

        sizes = [int(size) for size in shape]
        if tuple(sizes) == shape_of(value):
            return value
        return self._either(
            value,
            sizes,
            lambda a: np.broadcast_to(a, sizes).copy(),
            lambda v: relax.op.broadcast_to(v, sizes),
        )

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Values one after the other along an axis."""
        from tvm import relax

        self.budget.step(len(values))
        if all(map(is_constant, values)):
            for value in values:
                self.budget.constant(value.shape, value.dtype.name)
            return np.concatenate(values, axis)
        if len(values) == 1:
            return values[0]
        return self.emit(relax.op.concat([self.lifted(value) for value in values], axis))

    def slice(self, value: Value, axis: int, begin: int, end: int, stride: int = 1) -> Value:
        """A part along one axis, positive stride, bounds within the axis."""
        from tvm import relax

        if (begin, end, stride) == (0, shape_of(value)[axis], 1):
            return value
        index = (slice(None),) * axis + (slice(begin, end, stride),)
        return self._either(
            value,
            (),
            lambda a: a[index],
            lambda v: relax.op.strided_slice(v, [axis], [begin], [end], [stride]),
        )

    def pad(self, value: Value, widths: Sequence[tuple[int, int]], fill: float) -> Value:
        """`fill` around it; `widths` are (before, after) for each axis."""
        from tvm import relax

        pairs = [(int(before), int(after)) for before, after in widths]
        if any(width < 0 for pair in pairs for width in pair):
            raise ValueError("a negative padding")
        if not any(any(pair) for pair in pairs):
            return value
        flat = [width for pair in pairs for width in pair]
        return self._either(
            value,
            [size + sum(pair) for size, pair in zip(shape_of(value), pairs, strict=True)],
            lambda a: np.pad(a, pairs, constant_values=fill),
            lambda v: relax.op.nn.pad(v, flat, "constant", float(fill)),
        )

    def take(self, value: Value, indices: Value, axis: int, within: bool = True) -> Value:
        """Elements by their index along an axis.

        Args:
            within: the indices are sure to lie within the axis; others are moved to its ends.
        """
        from tvm import relax

        if is_constant(indices) and indices.size:
            size = shape_of(value)[axis]
            if not 0 <= int(indices.min()) <= int(indices.max()) < size:
                raise ValueError(f"an index beyond {size}")
        if is_constant(value) and is_constant(indices):
            shape = (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])
            self.budget.step()
            self.budget.constant(shape, value.dtype.name)
            return np.take(value, indices, axis)
        mode = "fast" if within or is_constant(indices) else "clip"
        return self.relax(lambda v, i: relax.op.take(v, i, axis, mode), value, indices)

    def tile(self, value: Value, repeats: Sequence[int]) -> Value:
        """Repeat it along each axis."""
        from tvm import relax

        times = [int(count) for count in repeats]
        return self._either(
            value,
            [size * count for size, count in zip(shape_of(value), times, strict=True)],
            lambda a: np.tile(a, times),
            lambda v: relax.op.tile(v, times),
        )

    # Numbers

    def clip(self, value: Value, least: float, most: float) -> Value:
        """Not below `least`, not above `most`."""
        if math.isfinite(least):
            value = self("maximum", value, least)
        return self("minimum", value, most) if math.isfinite(most) else value

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        """`a` where the condition holds, else `b`."""
        from tvm import relax

        if all(map(is_constant, (condition, a, b))):
            self.budget.step()
            self.budget.constant(np.broadcast_shapes(condition.shape, a.shape, b.shape), "int64")
            return np.where(condition, a, b)
        return self.relax(relax.op.where, condition, a, b)

    def reduce(self, name: str, value: Value, axes: Sequence[int], keep: bool) -> Value:
        """`sum`, `prod`, `max`, `min` or `mean` over axes."""
        from tvm import relax

        dtype = dtype_of(value)
        over = tuple(int(axis) for axis in axes)
        if name == "mean" and "int" in dtype:  # cut towards zero; Relax's own gives another dtype
            total = self.reduce("sum", self.cast(value, "int64"), over, keep)
            count = math.prod(shape_of(value)[axis] for axis in over)
            return self.cast(self("divide", total, max(count, 1)), dtype)
        return self._either(
            value,
            shape_of(value),
            lambda a: _REDUCTIONS[name](a, axis=over, keepdims=keep).astype(dtype),
            lambda v: getattr(relax.op, name)(v, list(over), keep),
        )

    def matmul(self, a: Value, b: Value, dtype: str) -> Value:
        """The matrix product, summed in `dtype`."""
        from tvm import relax

        return self.relax(lambda x, y: relax.op.matmul(x, y, out_dtype=dtype), a, b)
