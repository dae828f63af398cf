"""Arrays as a description and raw little-endian bytes: nothing to unpickle, nothing to guess."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.models.model import DTYPES, Arrays

# Of a tensor in the C runtime.
_MAX_RANK = 16
_MOST = sys.maxsize  # bytes
_AGAIN = "send it again"


def to_bytes(array: NDArray[np.generic]) -> bytes:
    """The elements in row-major order, little-endian."""
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


def from_bytes(data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """The array of `to_bytes`.

    Raises:
        PackageError: the bytes do not fill the shape, or the dtype is none of `DTYPES`.
    """
    known = dtype in DTYPES and len(shape) <= _MAX_RANK and all(size >= 0 for size in shape)
    # Where an axis is empty, numpy still multiplies the others.
    if not known or math.prod(max(size, 1) for size in shape) * np.dtype(dtype).itemsize > _MOST:
        raise PackageError(f"{dtype}{list(shape)} is no tensor", mend="package the model again")
    if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise PackageError(f"{len(data)} bytes are no {dtype}{list(shape)}", mend=_AGAIN)
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
        try:
            name, dtype = str(entry["name"]), str(entry["dtype"])
            shape = [int(size) for size in entry["shape"]]
        except (KeyError, TypeError, ValueError) as error:
            raise PackageError("a tensor without name, dtype or shape", mend=_AGAIN) from error
        if dtype not in DTYPES or name in arrays:
            raise PackageError(f"{name!r} is no tensor of its own", mend=_AGAIN)
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = from_bytes(data[offset : offset + size_bytes], dtype, shape)
        offset += size_bytes
    if offset != len(data):
        raise PackageError(f"{len(data) - offset} bytes belong to no tensor", mend=_AGAIN)
    return arrays
