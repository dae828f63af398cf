"""Linear interpolation, one axis after the other, between places that are known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# How an output index becomes a place in the input, by ONNX's names: index, input and output size.
_Place = Callable[[NDArray[Any], int, int], NDArray[Any]]


def _half_pixel(index: NDArray[Any], size: int, out_size: int) -> NDArray[Any]:
    return (index + 0.5) * (size / out_size) - 0.5


PLACES: dict[str, _Place] = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": lambda i, n, m: _half_pixel(i, n, m) if m > 1 else 0 * i,
    "asymmetric": lambda i, n, m: i * (n / m),
    "align_corners": lambda i, n, m: i * ((n - 1) / (m - 1)) if m > 1 else 0 * i,
}


@dataclass(frozen=True)
class Between:
    """For each output along an axis the two inputs that it lies between.

    Attributes:
        lower, upper: their indices.
        share: of the upper one.
    """

    lower: NDArray[np.int32]
    upper: NDArray[np.int32]
    share: NDArray[np.float32]


def between(size: int, out_size: int, mode: str) -> Between:
    """The neighbours along one axis; beyond the ends lies what is at the ends.

    Args:
        size, out_size: of input and output.
        mode: one of `PLACES`.
    """
    place = PLACES[mode](np.arange(out_size, dtype=np.float64), size, out_size)
    floor = np.floor(place)
    lower, upper = (np.clip(one, 0, size - 1).astype(np.int32) for one in (floor, floor + 1))
    return Between(lower, upper, (place - floor).astype(np.float32))


def interpolated(axis: int, data: Any, lower: Any, upper: Any, share: Any) -> Any:
    """The tensor resized along an axis by the tables of `Between`."""
    from tvm import te

    shape = [share.shape[0] if at == axis else size for at, size in enumerate(data.shape)]

    def element(*index: Any) -> Any:
        def at(table: Any) -> Any:
            place = table[index[axis]].astype("int64")
            return data[(*index[:axis], place, *index[axis + 1 :])]

        first = at(lower)
        return first + (at(upper) - first) * share[index[axis]]

    return te.compute(shape, element, name="interpolated")
