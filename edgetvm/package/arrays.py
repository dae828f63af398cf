"""Arrays as a description and raw little-endian bytes: nothing to unpickle, nothing to guess."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.models.model import Arrays

# What a tensor may hold: nothing that numpy would have to unpickle.
DTYPES = frozenset(
    ["float16", "float32", "float64", "bool"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def to_bytes(array: NDArray[np.generic]) -> bytes:
    """The elements in row-major order, little-endian."""
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


def from_bytes(data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """The array of `to_bytes`.

    Raises:
        PackageError: the bytes do not fill the shape, or the dtype is none of `DTYPES`.
    """
    if dtype not in DTYPES or any(size < 0 for size in shape):
        raise PackageError(f"{dtype}{list(shape)} is no tensor", mend="package the model again")
    if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise PackageError(f"{len(data)} bytes are no {dtype}{list(shape)}", mend="send it again")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def pack(arrays: Arrays) -> tuple[list[dict[str, Any]], bytes]:
    """Descriptions (name, dtype, shape) and the arrays' bytes, one after the other."""
    described = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in arrays.items()
    ]
    return described, b"".join(to_bytes(array) for array in arrays.values())


def unpack(described: Sequence[dict[str, Any]], data: bytes) -> dict[str, NDArray[np.generic]]:
    """The arrays of `pack`.

    Raises:
        PackageError: descriptions and bytes do not belong together.
    """
    arrays = {}
    offset = 0
    for entry in described:
        shape = [int(size) for size in entry["shape"]]
        if entry["dtype"] not in DTYPES:
            raise PackageError(
                f"dtype {entry['dtype']}", mend=f"one of {', '.join(sorted(DTYPES))}"
            )
        size_bytes = math.prod(shape) * np.dtype(entry["dtype"]).itemsize
        arrays[str(entry["name"])] = from_bytes(
            data[offset : offset + size_bytes], entry["dtype"], shape
        )
        offset += size_bytes
    return arrays
