"""What quantised graphs say in several operators: integers of a scale, and rounding to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.layout.stored import is_constant, shape_of

Floats = NDArray[np.float32]
BYTES = ("int8", "uint8")


@dataclass(frozen=True)
class Dequantised:
    """A float tensor that is (integers - zero point) * scale.

    Attributes:
        integers: the int8 or uint8 tensor.
        zero_point, scale: of the whole tensor.
    """

    integers: Any
    zero_point: int
    scale: np.float32

    @property
    def dtype(self) -> str:
        """Of the integers."""
        return str(self.integers.ty.dtype)

    def alike(self, other: Dequantised) -> bool:
        """Whether the same integer stands for the same number in both."""
        mine = (self.dtype, self.zero_point, self.scale)
        return mine == (other.dtype, other.zero_point, other.scale)


@dataclass(frozen=True)
class Rounding:
    """What is done to a float tensor to make it one of 8-bit integers.

    Attributes:
        value: the float tensor.
        divisor: its scale, or what it is multiplied with instead.
        divides: which of the two.
        zero_point: added after rounding.
        low, high: within which the sum is clipped.
        dtype: of the result.
    """

    value: Any
    divisor: np.float32
    divides: bool
    zero_point: int
    low: int
    high: int
    dtype: str

    def scaled(self, factor: Floats | np.float32) -> Floats:
        """A factor of the value as one of the rounded integers."""
        single = np.asarray(factor, np.float32)
        scaled = single / self.divisor if self.divides else single * self.divisor
        return scaled.astype(np.float32)

    def stored(self, bound: float, otherwise: int) -> int:
        """The integer for a number that bounds the value; `otherwise` for infinity."""
        if math.isinf(bound):
            return otherwise
        return int(np.rint(self.scaled(np.float32(bound)))) + self.zero_point


@dataclass(frozen=True)
class Scaled:
    """Integers times a constant factor.

    Attributes:
        integers: of 8 or 32 bits.
        factor: broadcasts with them.
    """

    integers: Any
    factor: Floats


@dataclass(frozen=True)
class Clipped:
    """A value within bounds."""

    value: Any
    low: float
    high: float


class Matcher:
    """Finds what expressions are made of."""

    def __init__(self, lookup: Callable[[Any], Any]) -> None:
        """Start.

        Args:
            lookup: from a variable to the expression that is bound to it, if it is known.
        """
        self._lookup = lookup

    def made_by(self, value: Any, *names: str) -> Any:
        """The call of one of these operators that makes the value, or None."""
        from tvm import relax

        made = self._lookup(value) if isinstance(value, relax.Var) else value
        if not isinstance(made, relax.Call):
            return None
        return made if getattr(made.op, "name", "").removeprefix("relax.") in names else None

    def dequantised(self, value: Any) -> Dequantised | None:
        """The 8-bit integers that a float tensor stands for."""
        scaled = self.scaled(value)
        if scaled is None or scaled.factor.size != 1:
            return None
        found = self.centred(scaled.integers)
        if found is None:
            return None
        integers, zero_point = found
        return Dequantised(integers, zero_point, scaled.factor.reshape(-1)[0])

    def centred(self, value: Any) -> tuple[Any, int] | None:
        """8-bit integers, and the zero point that was taken from them, if any was."""
        zero = 0
        moved = self.made_by(value, "subtract")
        if moved is not None:
            point = single(moved.args[1])
            if point is None or point != int(point):
                return None
            zero, value = int(point), moved.args[0]
        while dtype_of(value) in ("int32", "int16", "float32"):
            cast = self.made_by(value, "astype")
            if cast is None:
                return None
            value = cast.args[0]
        known = dtype_of(value) in BYTES and shape_of(value) is not None
        return (value, zero) if known else None

    def scaled(self, value: Any) -> Scaled | None:
        """The integers that a float tensor is a multiple of."""
        product = self.made_by(value, "multiply")
        if product is None or not is_constant(product.args[1]):
            return None
        factor = product.args[1].value.numpy()
        if factor.dtype != np.float32 or not (np.isfinite(factor).all() and (factor > 0).all()):
            return None
        integers = product.args[0]
        moved = self.made_by(integers, "subtract")
        if moved is not None and self.centred(integers) is not None:
            return Scaled(integers, factor)  # centred in floats
        cast = self.made_by(integers, "astype")
        if cast is None or dtype_of(cast.args[0]) not in ("int32", "int16", *BYTES):
            return None
        return Scaled(cast.args[0], factor)

    def clipped(self, value: Any) -> Clipped:
        """What lies below bounds that are the same for all elements; the outermost first."""
        low, high = -math.inf, math.inf
        while True:
            call = self.made_by(value, "maximum", "minimum", "clip", "nn.relu")
            bounds = None if call is None else _bounds(call)
            if bounds is None:
                return Clipped(value, low, high)
            low, high = (min(max(one, low), high) for one in bounds)
            value = call.args[0]

    def rounding(self, call: Any) -> Rounding | None:
        """The quantisation whose last step is this cast, if it is one."""
        dtype = dtype_of(call)
        if dtype not in BYTES or dtype_of(call.args[0]) != "float32":
            return None
        clipped = self.clipped(call.args[0])
        limits = np.iinfo(dtype)
        if clipped.low < limits.min or clipped.high > limits.max:
            return None
        value, zero = clipped.value, 0
        moved = self.made_by(value, "add")
        if moved is not None:
            point = single(moved.args[1])
            if point is None or point != int(point):
                return None
            value, zero = moved.args[0], int(point)
        rounded = self.made_by(value, "round")
        if rounded is None:
            return None
        value = rounded.args[0]
        divided = self.made_by(value, "divide", "multiply")
        by = None if divided is None else single(divided.args[1])
        bounds = (zero, int(clipped.low), int(clipped.high), dtype)
        if divided is None or by is None or not (by > 0 and math.isfinite(by)):
            return None
        divides = divided.op.name == "relax.divide"
        return Rounding(divided.args[0], np.float32(by), divides, *bounds)


def _bounds(call: Any) -> tuple[float, float] | None:
    name = call.op.name
    if name == "relax.nn.relu":
        return 0.0, math.inf
    given = [_number(one) for one in call.args[1:]]
    if any(one is None or math.isnan(one) for one in given):
        return None
    if name == "relax.clip":
        return given[0], given[1]  # type: ignore[return-value]
    if name == "relax.maximum":
        return given[0], math.inf  # type: ignore[return-value]
    return -math.inf, given[0]  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    """Of a constant of one element, or of a literal."""
    if is_constant(value):
        return single(value)
    literal = getattr(value, "value", value)
    literal = getattr(literal, "value", literal)
    return float(literal) if isinstance(literal, (int, float)) else None


def single(value: Any) -> float | None:
    """A constant's only element."""
    if not is_constant(value):
        return None
    array = value.value.numpy()
    return float(array.reshape(-1)[0]) if array.size == 1 else None


def dtype_of(value: Any) -> str:
    """The dtype of a tensor's elements."""
    return str(getattr(value.ty, "dtype", ""))
