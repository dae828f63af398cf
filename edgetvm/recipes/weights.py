"""Weights from files that others wrote, as numpy arrays. Runs nothing that stands in them."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[Any]]

_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
}


class _Reader(pickle.Unpickler):
    """Knows state dictionaries and nothing else."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[Any, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(f"a state dictionary does not need {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        _, dtype, key, _, count, *_ = pid
        self.storages[key] = (dtype, count)
        return str(key)


def torch_weights(path: Path) -> Weights:
    """The tensors of a state dictionary that torch.save wrote, in its zip or its old format."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            reader = _Reader(io.BytesIO(archive.read(pickled)))
            tensors = reader.load()
            folder = pickled.removesuffix("data.pkl") + "data/"
            data = {
                key: np.frombuffer(archive.read(folder + key), dtype, count)
                for key, (dtype, count) in reader.storages.items()
            }
    else:
        with path.open("rb") as file:
            for _ in range(3):  # a magic number, a version, the writer's sizes of numbers
                _Reader(file).load()
            reader = _Reader(file)
            tensors = reader.load()
            keys = _Reader(file).load()
            data = {}
            for key in keys:
                dtype, _ = reader.storages[key]
                (count,) = struct.unpack("<q", file.read(8))
                data[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {
        name: _view(data[key], offset, size, stride)
        for name, (key, offset, size, stride) in tensors.items()
    }


def _view(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> NDArray[Any]:
    """A tensor of a storage. What the file says of it is believed only within the storage."""
    steps = list(zip(size, stride, strict=True))
    last = offset + sum((count - 1) * step for count, step in steps)
    if min(offset, *size, *stride, 0) < 0 or last >= storage.size + (0 in size):
        raise pickle.UnpicklingError("a tensor of the state dictionary lies out of its storage")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def safetensors(path: Path) -> Weights:
    """The tensors of a safetensors file that are float32."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        head = json.loads(file.read(length))
        body = file.read()
    return {
        name: np.frombuffer(body[slice(*about["data_offsets"])], np.float32).reshape(about["shape"])
        for name, about in head.items()
        if about.get("dtype") == "F32"
    }
