"""Many samples at once: the files of a package, the arrays of a folder, a folder of one's own."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from edgetvm.base.errors import ConfigurationError, UsageError
from edgetvm.base.files import storage_errors
from edgetvm.base.paths import data_folders
from edgetvm.recipes.data import Array, Label, Positive, Sample, picture
from edgetvm.recipes.fetch import fetch_members
from edgetvm.recipes.folders import csv_rows
from edgetvm.recipes.recipe import PACKAGE, ModelFile, Recipe
from edgetvm.recipes.registry import DATA, Processing

_PICTURES = ("picture", "package-pictures", "rendered-page", "folder")
_OF_FILES = (*_PICTURES, "wav", "espeak", "noisy-speech")
_LABELS = ("y_labels.csv", "labels.csv")


def _one_group(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"a regular expression: {error}") from error
    if groups != 1:
        raise ValueError("a regular expression with one group, which is the label")
    return text


Pattern = Annotated[str, AfterValidator(_one_group)]


@DATA.register("package-pictures")
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
    root = _data_folder(folder, origin)
    labels = root / _LABELS[0]
    rows = csv_rows(labels)
    found = [_labelled(labels, number, row) for number, row in enumerate(rows, start=1) if row]
    there = [(root / name, label) for name, label in found if (root / name).is_file()]
    if not there:
        raise ConfigurationError(
            "none of the files that it lists is there", where=str(labels), mend="see `data.folder`"
        )
    return tuple(
        Sample(path.name, {input: _array(path, shape, dtype, scale, zero_point)}, label)
        for path, label in there
    )


def _data_folder(folder: str, origin: str) -> Path:
    for root in (Path(), *data_folders()):
        if (root / folder / _LABELS[0]).is_file():
            return root / folder
    raise ConfigurationError(
        f"no folder {folder!r} with {_LABELS[0]} in it",
        where="data.folder",
        mend=f"get it{f' from {origin}' if origin else ''}, and name the folder that holds it in "
        "$EDGETVM_DATA, or name it itself with --data",
    )


def _labelled(path: Path, number: int, row: list[str]) -> tuple[str, int]:
    name = row[0].strip()
    if len(row) != 3 or not row[2].strip().isdecimal() or Path(name).name != name:
        raise ConfigurationError(
            f"no `file,classes,label`: {','.join(row)[:80]!r}",
            where=f"{path}:{number}",
            mend="write a file's name, the number of classes, and the label's index",
        )
    return name, int(row[2])


def _array(
    path: Path, shape: tuple[int, ...], dtype: str, scale: float | None, zero_point: int
) -> Array:
    with storage_errors(path):
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


def with_folder(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with a folder of the user's as its data, in the form of the recipe's own.

    Data with a parameter `folder`, such as arrays, get that. Pictures and recordings: each lies in
    a subfolder that is named as its label, or there is a `labels.csv` of lines `file,label`.

    Raises:
        UsageError: the recipe's data are no files.
    """
    if not folder.is_dir():
        raise UsageError("no such folder", where=str(folder), mend="check the path")
    name = recipe.data.name if recipe.data else "none"
    given = recipe.data.parameters if recipe.data else {}
    if recipe.data is not None and DATA.takes(name, "folder"):
        return _with(recipe, Processing(name, {**given, "folder": str(folder.absolute())}))
    if name not in _OF_FILES:
        raise UsageError(
            f"its data ({name}) does not come from a folder",
            where=recipe.name,
            mend="leave --data out",
        )
    parameters: dict[str, object] = {"source": ModelFile(path=folder.absolute())}
    labels = [folder / one for one in _LABELS if (folder / one).is_file()]
    if labels:
        parameters["labels"] = ModelFile(path=labels[0].absolute())
    if recipe.stream is not None:
        parameters["sample_rate_hz"] = recipe.stream.sample_rate_hz
    return _with(recipe, Processing("folder", parameters))


def _with(recipe: Recipe, data: Processing) -> Recipe:
    return replace(recipe, data=data)
