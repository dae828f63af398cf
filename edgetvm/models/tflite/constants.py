"""A constant tensor's bytes as an array: plain, two numbers in a byte, or only the non-zeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# TFLite's element types that numpy has too.
NUMPY_DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "UINT16": "uint16",
    "INT32": "int32",
    "UINT32": "uint32",
    "INT64": "int64",
    "UINT64": "uint64",
    "BOOL": "bool",
    "INT4": "int8",  # constants alone have it; they are unpacked
}
_DENSE = 0  # tflite.DimensionType


def array_of(data: NDArray[np.uint8], type_name: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """The array that a buffer holds.

    Raises:
        ValueError: it holds another number of elements.
    """
    values = _values(data, type_name, math.prod(shape))
    if any(size < 0 for size in shape) or values.size != math.prod(shape):
        raise ValueError(f"{data.size} bytes for {type_name} {list(shape)}")
    return values.reshape(shape)


def _values(data: NDArray[np.uint8], type_name: str, count: int) -> NDArray[np.generic]:
    """Elements in a row; `count` says whether the last half byte counts."""
    if type_name == "INT4":
        pairs = np.stack([data << 4, data & 0xF0], -1).reshape(-1).view(np.int8) >> 4
        return pairs[:count] if pairs.size - count == 1 else pairs
    dtype = np.dtype(NUMPY_DTYPES[type_name]).newbyteorder("<")
    if data.size % dtype.itemsize:
        raise ValueError(f"{data.size} bytes for elements of {dtype.itemsize}")
    return data.view(dtype)


def dense(
    data: NDArray[np.uint8], type_name: str, shape: Sequence[int], sparsity: Any
) -> NDArray[np.generic]:
    """The array of which a buffer holds the elements that are not zero.

    The levels of `sparsity` (axes in an order of their own, then blocks of axes) are gone through
    one by one: every place that the levels so far lead to goes on to all, or to listed, indices.

    Raises:
        ValueError, TypeError, AttributeError: its parts do not fit together.
    """
    rank, most = len(shape), math.prod(shape)
    order = sparsity.TraversalOrderAsNumpy()
    levels = sparsity.DimMetadataLength()
    blocks = [] if sparsity.BlockMapIsNone() else sparsity.BlockMapAsNumpy().tolist()
    if levels != rank + len(blocks) or sorted(order.tolist()) != list(range(levels)):
        raise ValueError("a sparsity of another rank")
    places = np.zeros((levels, 1), np.int64)
    sizes = [1] * levels
    for level, at in enumerate(order.tolist()):
        table = sparsity.DimMetadata(level)
        if table.Format() == _DENSE:
            sizes[at] = table.DenseSize()
            if not 0 < places.shape[1] * sizes[at] <= most:
                raise ValueError("a sparsity beyond its tensor")
            parent = np.repeat(np.arange(places.shape[1]), sizes[at])
            index = np.tile(np.arange(sizes[at]), places.shape[1])
        else:
            parent, index = _listed(table, places.shape[1], most)
        places = places[:, parent]
        places[at] = index
    coordinates = places[:rank]
    for block, axis in enumerate(blocks):
        coordinates[axis] = coordinates[axis] * sizes[rank + block] + places[rank + block]
    values = _values(data, type_name, places.shape[1])
    result = np.zeros(shape, values.dtype)
    result[tuple(coordinates)] = values  # refuses coordinates beyond the shape
    return result


def _listed(table: Any, count: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of a level in compressed rows: for each entry the place it belongs to, and its index."""
    segments = _vector(table.ArraySegmentsType(), table.ArraySegments())
    indices = _vector(table.ArrayIndicesType(), table.ArrayIndices())
    lengths = np.diff(segments)
    if segments.size != count + 1 or segments[0] != 0 or (lengths < 0).any():
        raise ValueError("rows that do not follow each other")
    if indices.size != segments[-1] or indices.size > most or (indices < 0).any():
        raise ValueError("rows of another length")
    return np.repeat(np.arange(count), lengths), indices


def _vector(kind: int, table: Any) -> NDArray[np.int64]:
    """The numbers of a `tflite.SparseIndexVector`."""
    import tflite

    made = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    made.Init(table.Bytes, table.Pos)
    return np.asarray(made.ValuesAsNumpy(), np.int64)
