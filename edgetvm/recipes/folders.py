"""Pictures and recordings of a folder, labelled by subfolders or by a table."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.recipes.data import Label, Positive, Sample, picture, wav
from edgetvm.recipes.fetch import fetch
from edgetvm.recipes.recipe import ModelFile
from edgetvm.recipes.registry import DATA, Kind

_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "pictures": (".png", ".jpg", ".jpeg", ".bmp", ".webp"),
    "recordings": (".wav",),
}


@DATA.register("folder")
def folder(
    *,
    source: Annotated[ModelFile, Field(description="The folder: `{path: pictures}`.")],
    labels: Annotated[
        ModelFile | None,
        Field(description="A CSV of `file,label` lines, labels as JSON or text, no header."),
    ] = None,
    sample_rate_hz: Annotated[
        Positive | None, Field(description="Recordings are resampled to it.")
    ] = None,
    most: Annotated[Positive | None, Field(description="So many, evenly taken.")] = None,
    only: Annotated[Kind | None, Field(description="Files of the other kind are left out.")] = None,
    classes: Annotated[
        tuple[str, ...] | None,
        Field(description="Names that a label must be one of, or a number from 0 on."),
    ] = None,
    verbatim: Annotated[bool, Field(description="Labels are texts, though they read as JSON.")] = (
        False
    ),
) -> tuple[Sample, ...]:
    """Pictures and recordings of a folder; without `labels`, a file's subfolder is its label.

    Files and subfolders whose names begin with a dot are left out.
    """
    root = source.path
    if root is None or not root.is_dir():
        raise ConfigurationError(
            "no such folder", where=str(root or "data.source"), mend="give `source: {path: FOLDER}`"
        )
    kinds = (only,) if only is not None else tuple(_SUFFIXES)
    if labels is not None:
        found = _labelled_by_csv(root, fetch(labels), kinds, verbatim)
    else:
        found = _labelled_by_folder(root, kinds)
    if not found:
        raise ConfigurationError(
            f"no {' or '.join(kinds)} in it",
            where=str(root),
            mend=f"it should hold {', '.join(_suffixes(kinds))} files",
        )
    if classes is not None:
        found = [(path, _class_of(label, classes, path)) for path, label in found]
    if most is not None and len(found) > most:
        found = [found[index * len(found) // most] for index in range(most)]
    return tuple(_of_file(root, path, label, sample_rate_hz) for path, label in found)


def files_in(root: Path, *kinds: Kind) -> list[Path]:
    """The files of these kinds in a folder and its subfolders, hidden ones left out."""
    suffixes = _suffixes(kinds)
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def _suffixes(kinds: Sequence[Kind]) -> list[str]:
    return [suffix for kind in kinds for suffix in _SUFFIXES[kind]]


def _labelled_by_folder(root: Path, kinds: Sequence[Kind]) -> list[tuple[Path, Label]]:
    files = files_in(root, *kinds)
    return [(path, next(iter(path.relative_to(root).parent.parts), None)) for path in files]


def _labelled_by_csv(
    root: Path, path: Path, kinds: Sequence[Kind], verbatim: bool
) -> list[tuple[Path, Label]]:
    suffixes = _suffixes(kinds)
    found = []
    for number, row in enumerate(csv_rows(path), start=1):
        if not row:
            continue
        file = root / row[0].strip()
        inside = file.resolve().is_relative_to(root.resolve())
        if len(row) < 2 or not inside or file.suffix.lower() not in suffixes:
            raise ConfigurationError(
                f"no `file,label` of {' or '.join(kinds)}: {','.join(row)[:80]!r}",
                where=f"{path}:{number}",
                mend="write the file's path in the folder, a comma, and its label",
            )
        # Spans and boxes have commas, and people do not quote them.
        text = ",".join(row[1:]).strip()
        found.append((file, text if verbatim else _label_of(text)))
    return found


def _class_of(label: Label, classes: Sequence[str], path: Path) -> Label:
    """A label that is a name of `classes`, or the index of one."""
    if isinstance(label, str | int) and str(label) in classes:
        return str(label)
    if isinstance(label, str | int) and str(label).isdecimal():
        index = int(label)
        if not classes or index < len(classes):
            return index
    near = difflib.get_close_matches(str(label), classes, n=1)
    known = f"one of: {', '.join(classes)}" if classes else "a class's number, from 0 on"
    where_said = "name its subfolder, or write in its line of the labels"
    raise ConfigurationError(
        "it has no label" if label is None else f"no class {label!r}",
        where=str(path),
        mend=f"did you mean {near[0]!r}?" if near else f"{where_said}, {known}",
    )


def csv_rows(path: Path) -> list[list[str]]:
    """The rows of a table.

    Raises:
        ConfigurationError: it is no table.
        StorageError: it cannot be read.
    """
    with read_errors(path):
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        return list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ConfigurationError(
            f"it is no table: {error}", where=str(path), mend="see its `labels`"
        ) from error


def _label_of(text: str) -> Label:
    try:
        label: Label = json.loads(text)
    except ValueError:
        return text
    return label


def _of_file(root: Path, path: Path, label: Label, sample_rate_hz: int | None) -> Sample:
    source = ModelFile(path=path)
    if path.suffix.lower() in _SUFFIXES["recordings"]:
        (sample,) = wav(source=source, label=label, sample_rate_hz=sample_rate_hz)
    else:
        (sample,) = picture(source=source, label=label)
    return replace(sample, name=path.relative_to(root).as_posix())
