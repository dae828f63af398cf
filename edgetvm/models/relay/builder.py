"""What operators are lowered with: Relax calls, TOPI kernels, and what is known of tensors."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.relay.ast import malformed

if TYPE_CHECKING:
    pass

MOST_ELEMENTS = 1 << 31
_MOST_LISTED = 1 << 24
_FOLDED = 1 << 16  # elements: shapes, scales and zero points, not weights

# A tensor, or a tuple of values.
Value = Any


class Attributes:
    """An operator's attributes, each checked when it is read.

    Text gives only what differs from the default, JSON gives all.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """As the file has it; the default for nothing."""
        value = self._given.get(name)
        return default if value is None else value

    def _wrong(self, name: str, wanted: str) -> Exception:
        return malformed(f"its attribute {name} is not {wanted}: {self.get(name)!s:.60}")

    def integer(self, name: str, default: int | None = None) -> int:
        """One integer."""
        value = self.get(name, default)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int):
            raise self._wrong(name, "an integer")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """One number."""
        value = self.get(name, default)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if not isinstance(value, (int, float)) or (
            isinstance(value, int) and abs(value) > sys.float_info.max
        ):
            raise self._wrong(name, "a number")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return bool(self.get(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value or default

    def dtype(self, name: str, default: str) -> str:
        """A dtype; TVM writes an empty one, or `void`, for "as it comes"."""
        value = self.text(name, default)
        return default if value in ("void", "handle0") else value

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """A list of integers; one alone is a list of one."""
        value = self.get(name, default)
        if isinstance(value, np.ndarray):
            value = value.reshape(-1).tolist()
        if isinstance(value, int):
            value = [value]
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, int) for item in value):
            raise self._wrong(name, "a list of integers")
        return list(value)

    def window(self, name: str, count: int, default: int | None = 1, least: int = 1) -> list[int]:
        """One positive integer for each of `count` axes."""
        values = self.integers(name, None if default is None else [default])
        values = values * count if len(values) == 1 else values
        if len(values) != count or min(values, default=least) < least or max(values) > 1 << 24:
            raise self._wrong(name, f"{count} integers of {least} and more")
        return values

    def padding(self, count: int) -> list[int]:
        """What lies before each axis, then what lies after each."""
        values = self.integers("padding", [0])
        values = values * count if len(values) == 1 else values
        values = values * 2 if len(values) == count else values
        if len(values) != 2 * count or min(values) < 0 or max(values) > 1 << 24:
            raise self._wrong("padding", f"1, {count} or {2 * count} integers of 0 and more")
        return values


class Builder:
    """Emits into the Relax function that is being built."""

    def __init__(self, blocks: Any, most_calls: int, most_bytes: int) -> None:
        """Emit into the function that `blocks` has open.

        Args:
            blocks: of `naming_builder`.
            most_calls: how many bindings there may be,
            most_bytes: and how large all constants together, those that are made on the way too.
        """
        from tvm import relax, topi

        self.op = relax.op
        self.topi = topi
        self.relax = relax
        self.blocks = blocks
        self._most_calls = most_calls
        self._calls = 0
        self._most_bytes = most_bytes
        self._bytes = 0

    def emit(self, call: Any) -> Any:
        """Bind a call to a variable."""
        self._calls += 1
        if self._calls > self._most_calls:
            raise malformed(f"it unfolds into more than {self._most_calls} operators")
        variable = self.blocks.emit(call)
        self.check_size(variable)
        return variable

    def check_size(self, value: Any) -> None:
        """Refuse tensors that no board holds, before anything allocates them."""
        shape = getattr(getattr(value, "ty", None), "shape", None)
        if shape is not None:
            self.check_elements(self.shape(value))

    def check_elements(self, shape: Sequence[int]) -> None:
        """The same, by the shape alone."""
        if math.prod(shape) > MOST_ELEMENTS:
            raise malformed(f"a tensor of shape {list(shape)!s:.100}")

    def fields(self, value: Any, count: int) -> tuple[Any, ...]:
        """The tensors of a tuple of Relax."""
        return tuple(self.emit(self.relax.TupleGetItem(value, i)) for i in range(count))

    def te(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a TOPI function."""
        return self.emit(self.blocks.call_te(function, *arguments, **options))

    def const(self, value: Any, dtype: str) -> Any:
        """A constant tensor."""
        array = np.asarray(value).astype(dtype, copy=False)
        self._bytes += array.nbytes
        if self._bytes > self._most_bytes:
            raise malformed(f"its constants unfold into more than {self._most_bytes >> 20} MB")
        return self.relax.const(array, dtype)

    def scalar(self, value: float, like: Any) -> Any:
        """A constant scalar of another tensor's dtype."""
        return self.const(value, self.dtype(like))

    def array(self, value: Any) -> NDArray[np.generic] | None:
        """What a tensor holds; None where only a run can tell."""
        from tvm.ir.expr import GenericConst

        return value.value.numpy() if isinstance(value, GenericConst) else None

    def small(self, value: Any) -> NDArray[np.generic] | None:
        """The same, for constants that are cheap to compute with at once."""
        if math.prod(self.shape(value)) > _FOLDED:
            return None
        return self.array(value)

    def all_small(self, *values: Any) -> list[NDArray[Any]] | None:
        """The same for several; None if there is one that is not."""
        arrays = [array for value in values if (array := self.small(value)) is not None]
        return arrays if len(arrays) == len(values) else None

    def all_arrays(self, *values: Any) -> list[NDArray[Any]] | None:
        """The same for constants of any size."""
        arrays = [array for value in values if (array := self.array(value)) is not None]
        return arrays if len(arrays) == len(values) else None

    def known(self, value: Any, what: str) -> NDArray[np.generic]:
        """The same, where nothing else will do."""
        array = self.array(value)
        if array is None:
            raise malformed(f"{what} is computed at run time; only constant ones can be compiled")
        return array

    def shape(self, value: Any) -> tuple[int, ...]:
        """Sizes of a tensor."""
        if isinstance(value, tuple):
            raise malformed("a tuple where a tensor should be")
        try:
            return tuple(int(size) for size in value.ty.shape)
        except (TypeError, ValueError, AttributeError) as error:
            raise malformed("a tensor's shape is only known at run time") from error

    def rank(self, value: Any) -> int:
        """Number of axes."""
        return len(self.shape(value))

    def dtype(self, value: Any) -> str:
        """Of a tensor's elements."""
        return str(value.ty.dtype)

    # What almost every operator needs; on small constants it is done at once.

    def cast(self, value: Any, dtype: str) -> Any:
        """The same numbers in another dtype."""
        if self.dtype(value) == dtype:
            return value
        array = self.small(value)
        if array is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                return self.const(array, dtype)
        return self.emit(self.op.astype(value, dtype))

    def reshape(self, value: Any, shape: Sequence[int]) -> Any:
        """The same numbers in another shape."""
        if tuple(shape) == self.shape(value):
            return value
        array = self.array(value)
        if array is not None:
            return self.const(array.reshape(tuple(shape)), self.dtype(value))
        return self.emit(self.op.reshape(value, tuple(shape)))

    def permute(self, value: Any, axes: Sequence[int]) -> Any:
        """Axes in another order."""
        if list(axes) == list(range(len(axes))):
            return value
        array = self.array(value)
        if array is not None:
            return self.const(np.ascontiguousarray(array.transpose(axes)), self.dtype(value))
        return self.emit(self.op.permute_dims(value, list(axes)))

    def binary(self, name: str, left: Any, right: Any) -> Any:
        """An operator of Relax on two tensors."""
        return self.emit(getattr(self.op, name)(left, right))

    def take(self, value: Any, indices: Sequence[int] | NDArray[Any], axis: int) -> Any:
        """Slices of an axis, by constant indices."""
        size = self.shape(value)[axis]
        self.check_length(max(size, len(indices)))
        places = np.asarray(indices, "int64")
        if np.array_equal(places, np.arange(size)):
            return value
        return self.emit(self.op.take(value, self.const(places, "int64"), axis))

    def check_length(self, count: int) -> None:
        """Refuse an axis that is too long to be listed."""
        if count > _MOST_LISTED:
            raise malformed(f"an axis of {count}")

    def along(self, vector: Any, rank: int, axis: int) -> Any:
        """A vector, shaped to broadcast along one axis."""
        if self.rank(vector) == 0 or math.prod(self.shape(vector)) == 1:
            return self.reshape(vector, ())
        shape = [1] * rank
        shape[axis] = -1
        shape[axis] = math.prod(self.shape(vector))
        return self.reshape(vector, shape)

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            ModelUnreadableError: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise malformed(f"a tensor of {rank} axes has no axis {axis}")
        return axis % rank


# An entry of the table of operators, from lowered arguments and attributes.
Lowering = Callable[[Builder, tuple[Value, ...], Attributes], Value]
