"""Many samples at once: the files of a package, and the arrays of a folder."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.base.files import read_errors
from edgetvm.base.paths import data_folders
from edgetvm.recipes.data import Array, Label, Positive, Sample, picture
from edgetvm.recipes.fetch import fetch_members
from edgetvm.recipes.folders import csv_rows
from edgetvm.recipes.recipe import PACKAGE, ModelFile
from edgetvm.recipes.registry import DATA

LABELS = "y_labels.csv"
"""The list of MLPerf Tiny's data: lines `file,classes,label`."""


def _one_group(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"a regular expression: {error}") from error
    if groups != 1:
        raise ValueError("a regular expression with one group, which is the label")
    return text


Pattern = Annotated[str, AfterValidator(_one_group)]


@DATA.register("package-pictures", gives="pictures")
def package_pictures(
    *,
    package: Annotated[
        str, Field(pattern=PACKAGE, description="Python package that holds them, with its version.")
    ],
    files: Annotated[str, Field(description="Which: `foolbox/data/cifar10_*.png`.")],
    sha256: Annotated[
        str,
        Field(
            pattern="^[0-9a-f]{64}$",
            description="Of them all, as `sha256sum FILES | sha256sum` tells it in their folder.",
        ),
    ],
    label: Annotated[
        Pattern | dict[str, int | str],
        Field(description="A pattern of their names, whose group is the label; or name: label."),
    ],
) -> tuple[Sample, ...]:
    """Pictures out of a Python package, labelled by their names: a number is a class's index.

    With labels by name, pictures that have none are left out.
    """
    paths = fetch_members(package, files, sha256)
    if isinstance(label, dict):
        paths = [path for path in paths if path.name in label]
    return tuple(
        replace(one, name=path.name)
        for path in paths
        for one in picture(source=ModelFile(path=path), label=_label_in(path, label))
    )


def _label_in(path: Path, pattern: str | dict[str, int | str]) -> Label:
    if isinstance(pattern, dict):
        return pattern.get(path.name)
    found = re.search(pattern, path.name)
    if found is None or found[1] is None:
        raise ConfigurationError(
            f"no label in the name {path.name}", where="data.label", mend=f"it is {pattern}"
        )
    return int(found[1]) if found[1].isdecimal() else found[1]


@DATA.register("plain-pictures", gives="pictures")
def plain_pictures(
    *,
    folder: Annotated[
        str, Field(description="Its path, or its name in a folder of `$EDGETVM_DATA`.")
    ],
    origin: Annotated[str, Field(description="Where to get the folder.")] = "",
) -> tuple[Sample, ...]:
    """Square pictures as files of their red, green and blue bytes, listed as `arrays` are.

    Lines of files that are not there are left out. This is the form of MLPerf Tiny's pictures.
    """
    return tuple(Sample(path.name, _pixels(path), label) for path, label in _listed(folder, origin))


def _pixels(path: Path) -> Array:
    with read_errors(path):
        data = path.read_bytes()
    side = math.isqrt(len(data) // 3)
    if side == 0 or len(data) != 3 * side * side:
        raise ConfigurationError(
            f"{len(data)} bytes, which no square picture of three colours has",
            where=str(path),
            mend="leave it out of the list",
        )
    return np.frombuffer(data, np.uint8).reshape(side, side, 3)


@DATA.register("arrays")
def arrays(
    *,
    folder: Annotated[
        str, Field(description="Its path, or its name in a folder of `$EDGETVM_DATA`.")
    ],
    input: Annotated[str, Field(description="Name of the input that takes an array.")],
    shape: Annotated[tuple[Positive, ...], Field(description="Of each array.")],
    dtype: Annotated[
        Literal["int8", "uint8", "int16", "int32", "float32"],
        Field(description="Of the files' numbers, little-endian."),
    ],
    scale: Annotated[
        float | None,
        Field(gt=0, description="Makes floats of them: scale * (number - zero_point)."),
    ] = None,
    zero_point: Annotated[int, Field(description="See `scale`.")] = 0,
    origin: Annotated[str, Field(description="Where to get the folder.")] = "",
) -> tuple[Sample, ...]:
    """Files of plain numbers; `y_labels.csv` beside them has a line `file,classes,label` for each.

    Lines of files that are not there are left out. This is the form of MLPerf Tiny's data.
    """
    return tuple(
        Sample(path.name, {input: _array(path, shape, dtype, scale, zero_point)}, label)
        for path, label in _listed(folder, origin)
    )


def _listed(folder: str, origin: str) -> list[tuple[Path, int]]:
    """The files of a folder's list that are there, each with its label."""
    root = _data_folder(folder, origin)
    labels = root / LABELS
    rows = csv_rows(labels)
    found = [_labelled(labels, number, row) for number, row in enumerate(rows, start=1) if row]
    there = [(root / name, label) for name, label in found if (root / name).is_file()]
    if not there:
        raise ConfigurationError(
            "none of the files that it lists is there", where=str(labels), mend="put them beside it"
        )
    return there


def _data_folder(folder: str, origin: str) -> Path:
    for root in (Path(), *data_folders()):
        if (root / folder / LABELS).is_file():
            return root / folder
    if Path(folder).is_dir():
        raise ConfigurationError(
            f"no {LABELS} in it",
            where=folder,
            mend="write one there, with a line `file,classes,label` for each of its files",
        )
    raise MissingToolError(
        f"no folder {folder!r} with {LABELS} in it",
        where="data.folder",
        mend=f"get it{f' from {origin}' if origin else ''}, and name the folder that holds it in "
        "$EDGETVM_DATA, or name it itself with --data",
    )


def _labelled(path: Path, number: int, row: list[str]) -> tuple[str, int]:
    name = row[0].strip()
    numbers = [one.strip() for one in row[1:]]
    is_class = len(numbers) == 2 and all(map(str.isdecimal, numbers))
    if not is_class or int(numbers[1]) >= int(numbers[0]) or Path(name).name != name:
        raise ConfigurationError(
            f"no `file,classes,label`: {','.join(row)[:80]!r}",
            where=f"{path}:{number}",
            mend="write a file's name, the number of classes, and the label's index below it",
        )
    return name, int(numbers[1])


def _array(
    path: Path, shape: tuple[int, ...], dtype: str, scale: float | None, zero_point: int
) -> Array:
    with read_errors(path):
        data = path.read_bytes()
    kind = np.dtype(dtype).newbyteorder("<")
    size_bytes = kind.itemsize * math.prod(shape)
    if len(data) != size_bytes:
        raise ConfigurationError(
            f"{len(data)} bytes, and {dtype}{list(shape)} has {size_bytes}",
            where=str(path),
            mend="see `data.shape` and `data.dtype`",
        )
    numbers: Array = np.frombuffer(data, kind).astype(dtype).reshape(shape)
    if scale is None:
        return numbers
    return ((numbers.astype(np.float32) - zero_point) * np.float32(scale)).astype(np.float32)
