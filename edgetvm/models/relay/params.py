"""Tensors as TVM stores them, and `relay.save_param_dict`'s files of them.

All numbers are little-endian. Nothing is allocated before the bytes are known to be there.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import malformed

_LIST_MAGIC = 0xF7E58D4F05049CB7
_TENSOR_MAGIC = 0xDD5E40F096B4A13F
_MOST_AXES = 32

# DLPack's type codes.
_KINDS = {0: "int", 1: "uint", 2: "float"}
_DTYPES = frozenset(
    ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    + ("float16", "float32", "float64")
)


@dataclass
class _Reader:
    data: bytes
    position: int = 0

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self.data) - self.position:
            raise malformed(
                f"cut off or damaged: {count} bytes should follow byte {self.position}, "
                f"and {len(self.data) - self.position} do"
            )
        self.position += count
        return self.data[self.position - count : self.position]

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))


def _tensor(reader: _Reader) -> NDArray[np.generic]:
    magic, _ = reader.unpack("QQ")
    if magic != _TENSOR_MAGIC:
        raise malformed("damaged: a tensor does not begin with TVM's mark")
    _, _, axes = reader.unpack("iii")
    code, bits, lanes = reader.unpack("BBH")
    if not 0 <= axes <= _MOST_AXES:
        raise malformed(f"damaged: a tensor of {axes} axes")
    shape = reader.unpack(f"{axes}q")
    (size_bytes,) = reader.unpack("q")
    name = "bool" if (code, bits) in ((1, 1), (6, 8)) else f"{_KINDS.get(code, 'type')}{bits}"
    if name not in _DTYPES | {"bool"} or lanes != 1:
        kind = "bfloat16" if code == 4 else name
        raise ModelUnreadableError(
            f"a tensor of {kind}{f'x{lanes}' if lanes != 1 else ''}",
            mend="convert it to float32 before it is saved",
        )
    dtype = np.dtype(name)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size_bytes:
        raise malformed(f"damaged: a tensor {list(shape)} of {name} in {size_bytes} bytes")
    data = reader.take(size_bytes)
    if name == "bool":  # any byte but 0 is true; numpy takes 0 and 1 only
        array: NDArray[np.generic] = np.asarray(np.frombuffer(data, np.uint8) != 0)
    else:
        array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
    try:
        return array.reshape(shape)
    except ValueError as error:  # no elements, and an axis that numpy cannot count
        raise malformed(f"damaged: a tensor {list(shape)} of {name}") from error


def tensor_from(data: bytes) -> NDArray[np.generic]:
    """One tensor, as metadata and `save_json` carry it.

    Raises:
        ModelUnreadableError: cut off, damaged, or of a dtype that numpy lacks.
    """
    reader = _Reader(data)
    array = _tensor(reader)
    if reader.position != len(data):
        raise malformed(f"damaged: {len(data) - reader.position} bytes follow a tensor")
    return array


def parameters_from(data: bytes) -> dict[str, NDArray[np.generic]]:
    """What `relay.save_param_dict` gave, by name.

    Raises:
        ModelUnreadableError: not such a file, cut off or damaged.
    """
    reader = _Reader(data)
    if len(data) < 8 or reader.unpack("Q")[0] != _LIST_MAGIC:
        raise malformed("not a file of relay.save_param_dict")
    reader.unpack("Q")
    (count,) = reader.unpack("Q")
    names = []
    for _ in range(count):  # ends at the file's end, however large the number is
        (length,) = reader.unpack("Q")
        names.append(reader.take(length).decode("utf-8", "replace"))
    (tensors,) = reader.unpack("Q")
    if tensors != count:
        raise malformed(f"damaged: {count} names for {tensors} tensors")
    arrays = {name: _tensor(reader) for name in names}
    if len(arrays) != count:
        raise malformed("damaged: a name occurs twice")
    return arrays


def parameters_file(model: Path) -> Path | None:
    """The file of parameters beside a model: NAME.params for NAME.relay or NAME.relay.json."""
    stem = model.with_suffix("")
    stems = [stem, model]
    if stem.suffix.lower() == ".relay":
        stems.insert(1, stem.with_suffix(""))
    for candidate in stems:
        beside = candidate.with_name(candidate.name + ".params")
        if beside.is_file():
            return beside
    return None
