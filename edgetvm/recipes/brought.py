"""A folder of the user's in place of the data of a recipe or a pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from edgetvm.base.errors import ConfigurationError, UsageError
from edgetvm.base.steps import warn
from edgetvm.recipes.folders import files_in
from edgetvm.recipes.gathered import LABELS as PLAIN_LABELS
from edgetvm.recipes.pipeline import Pipeline
from edgetvm.recipes.recipe import ModelFile, Recipe, form_of, label_names
from edgetvm.recipes.registry import DATA, PIPELINES, Kind, Processing

Brought = TypeVar("Brought", Recipe, Pipeline)

_LABELS = "labels.csv"
_SPEECH_HZ = 16000
# Postprocesses whose predictions are compared with a label, and those where it may be the name of
# a subfolder.
_LABELLED = ("top-k", "ctc-text", "speech-probability", "text-boxes", "values")
_LABELLED_BY_FOLDER = ("top-k", "ctc-text")
# What a recipe says of where its own folder comes from.
_OF_ITS_OWN = ("origin", "debian_package")


def with_folder(subject: Brought, folder: Path) -> Brought:
    """The recipe or pipeline with a folder of the user's as its data.

    Data with a parameter `folder`, such as arrays, get that. In place of pictures and recordings
    come others: each lies in a subfolder that is named as its label, or there is a `labels.csv` of
    lines `file,label`; pictures may have the form of MLPerf Tiny's, too. Arrays of one file are
    replaced by the folder's only `.npz`. Where nothing says what files show, no metric is left.

    Raises:
        UsageError: there is no such folder, or the data come from none.
        ConfigurationError: arrays are to be read, and it holds no file of them, or several.
    """
    if not folder.is_dir():
        if folder.exists():
            raise UsageError(
                "it is no folder", where=str(folder), mend="name the folder it lies in"
            )
        raise UsageError("no such folder", where=str(folder), mend="check the path")
    root, own = folder.absolute(), _read_as(subject)
    kind = _kind_of(own, root)
    if kind == "pictures" and (root / PLAIN_LABELS).is_file():
        return replace(subject, data=Processing("plain-pictures", {"folder": str(root)}, root))
    if kind is not None and (not _has_form(own) or _is_labelled(subject, root, kind)):
        return _with_files(subject, root, kind)
    return replace(subject, data=_in_form(own, root, subject.name))


def _in_form(own: Processing | None, root: Path, name: str) -> Processing:
    """The data out of another folder of the same form."""
    if own is not None and own.name == "npz":
        return Processing(own.name, {**own.parameters, "source": _arrays(root)}, root)
    if own is None or not _has_form(own):
        raise UsageError(
            f"its data ({own.name if own is not None else 'none'}) does not come from a folder",
            where=name,
            mend="leave --data out",
        )
    kept = {key: value for key, value in own.parameters.items() if key not in _OF_ITS_OWN}
    return Processing(own.name, {**kept, "folder": str(root)}, root)


def without_folder(recipe: Recipe) -> Recipe:
    """The recipe as it runs on what it has: nothing is scored where data must be brought."""
    return recipe if recipe.data is not None else replace(recipe, metrics=(), accept={})


def told_data(recipe: Recipe) -> str:
    """`the recipe's data`, or `the data of words` where the user's folder takes their place."""
    brought = recipe.data.brought if recipe.data is not None else None
    return "the recipe's data" if brought is None else f"the data of {brought.name}"


def _read_as(subject: Recipe | Pipeline) -> Processing | None:
    return subject.data or (subject.brought if isinstance(subject, Recipe) else None)


def _has_form(own: Processing | None) -> bool:
    return own is not None and DATA.takes(own.name, "folder")


def _arrays(root: Path) -> ModelFile:
    files = sorted(root.glob("*.npz"))
    if len(files) != 1:
        raise ConfigurationError(
            f"{len(files)} .npz files in it", where=str(root), mend="put the one to be read there"
        )
    return ModelFile(path=files[0])


def _kind_of(own: Processing | None, root: Path) -> Kind | None:
    """Of the files that can take the place of the data's; None where none can."""
    if own is None or own.name != "folder":
        return DATA.gives(own.name) if own is not None else None
    only: Kind | None = own.parameters.get("only")
    return only or ("pictures" if files_in(root, "pictures") else "recordings")


def _is_labelled(subject: Recipe | Pipeline, root: Path, kind: Kind) -> bool:
    """Whether it is a folder of labelled files, and not of the form of the data's own."""
    if kind == "pictures":
        return bool(files_in(root, kind))
    return (root / _LABELS).is_file() and _form_of(subject) in _LABELLED


def _with_files(subject: Brought, root: Path, kind: Kind) -> Brought:
    form = _form_of(subject)
    labels = root / _LABELS
    parameters: dict[str, object] = {"source": ModelFile(path=root), "only": kind}
    if kind == "recordings":
        parameters["sample_rate_hz"] = _rate_hz(subject)
    if labels.is_file():
        parameters["labels"] = ModelFile(path=labels)
        parameters["verbatim"] = form == "ctc-text"
    elif form not in _LABELLED_BY_FOLDER or not _has_subfolders(root, kind):
        return _unscored(replace(subject, data=Processing("folder", parameters, root)), root, kind)
    if form == "top-k" and isinstance(subject, Recipe) and subject.metrics:
        parameters["classes"] = label_names(subject)
    return replace(subject, data=Processing("folder", parameters, root))


def _unscored(subject: Brought, root: Path, kind: Kind) -> Brought:
    if subject.metrics and files_in(root, kind):
        warn(
            f"nothing says what the files of {root} show, so there is no metric: write a "
            f"{_LABELS} of lines `file,label` there"
        )
    return replace(subject, metrics=(), accept={})


def _has_subfolders(root: Path, kind: Kind) -> bool:
    return any(path.parent != root for path in files_in(root, kind))


def _form_of(subject: Recipe | Pipeline) -> str:
    """The postprocess that metrics of its predictions read."""
    if isinstance(subject, Recipe):
        return form_of(subject)
    return PIPELINES.reads(subject.steps.name) if subject.steps is not None else ""


def _rate_hz(subject: Recipe | Pipeline) -> int:
    if isinstance(subject, Recipe) and subject.stream is not None:
        return subject.stream.sample_rate_hz
    return _SPEECH_HZ
