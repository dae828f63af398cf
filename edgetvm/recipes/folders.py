"""Pictures and recordings of a folder, labelled by subfolders or by a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import storage_errors
from edgetvm.recipes.data import Label, Positive, Sample, picture, wav
from edgetvm.recipes.fetch import fetch
from edgetvm.recipes.recipe import ModelFile
from edgetvm.recipes.registry import DATA


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
) -> tuple[Sample, ...]:
    """Pictures and recordings of a folder; without `labels`, a file's subfolder is its label."""
    root = source.path
    if root is None or not root.is_dir():
        raise ConfigurationError(
            "no such folder", where=str(root or "data.source"), mend="give `source: {path: FOLDER}`"
        )
    found = _labelled_by_csv(root, fetch(labels)) if labels else _labelled_by_folder(root)
    if not found:
        raise ConfigurationError(
            "no pictures or recordings in it",
            where=str(root),
            mend=f"it should hold {', '.join(_FILES)} files",
        )
    if most is not None and len(found) > most:
        found = [found[index * len(found) // most] for index in range(most)]
    return tuple(_of_file(root, path, label, sample_rate_hz) for path, label in found)


_FILES: dict[str, Callable[..., tuple[Sample, ...]]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp"), picture),
    ".wav": wav,
}


def _labelled_by_folder(root: Path) -> list[tuple[Path, Label]]:
    files = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in _FILES]
    return [(path, next(iter(path.relative_to(root).parent.parts), None)) for path in files]


def _labelled_by_csv(root: Path, path: Path) -> list[tuple[Path, Label]]:
    rows = csv_rows(path)
    found = []
    for number, row in enumerate(rows, start=1):
        if not row:
            continue
        file = root / row[0].strip()
        inside = file.resolve().is_relative_to(root.resolve())
        if len(row) < 2 or not inside or file.suffix.lower() not in _FILES:
            raise ConfigurationError(
                f"no `file,label` of a picture or recording: {','.join(row)[:80]!r}",
                where=f"{path}:{number}",
                mend="write the file's path in the folder, a comma, and its label",
            )
        found.append((file, _label_of(row[1].strip())))
    return found


def csv_rows(path: Path) -> list[list[str]]:
    """The rows of a table.

    Raises:
        ConfigurationError: it is no table.
        StorageError: it cannot be read.
    """
    with storage_errors(path):
        text = path.read_text(encoding="utf-8", errors="replace")
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
    read = _FILES[path.suffix.lower()]
    wanted = {"sample_rate_hz": sample_rate_hz} if read is wav else {}
    (sample,) = read(source=ModelFile(path=path), label=label, **wanted)
    return replace(sample, name=path.relative_to(root).as_posix())
