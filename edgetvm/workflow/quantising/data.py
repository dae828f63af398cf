"""Samples to calibrate on and to judge by: a recipe's, and those that the user brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import InputError, StorageError, UsageError
from edgetvm.base.steps import note, warn
from edgetvm.base.words import plural
from edgetvm.models.fills import fill
from edgetvm.models.model import Arrays, Signature, TensorSpec
from edgetvm.recipes import (
    DATA,
    ModelFile,
    Processing,
    Recipe,
    Sample,
    form_of,
    prepare,
    samples,
)
from edgetvm.workflow.running import read_inputs

# More do not change ranges or losses by much, and each is run hundreds of times.
_MOST_FILES = 256
# From so many on, every second one is kept for judging.
_LEAST_TO_HALVE = 4
_MADE_UP = 8
# What fewer show is chance.
_FEW = 10

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_KINDS = {**dict.fromkeys(_PICTURES, "picture"), ".wav": "wav"}
# Postprocesses whose label may be the name of a folder.
_LABELLED_BY_FOLDER = ("top-k",)


@dataclass(frozen=True, eq=False)
class Case:
    """One thing to run the model on.

    Attributes:
        name: for errors.
        inputs: arrays by name; for a stream `[chunks, *shape]`, without the states.
        sample: that they were prepared from by a recipe.
        labelled: whether the recipe's metrics can score it.
    """

    name: str
    inputs: Arrays
    sample: Sample | None = None
    labelled: bool = False


@dataclass(frozen=True)
class Data:
    """Where the samples went.

    Attributes:
        calibration: what ranges are taken from.
        judged: what losses are measured on.
        held_out: whether none of them is in both.
    """

    calibration: tuple[Case, ...]
    judged: tuple[Case, ...]
    held_out: bool


def gathered(signature: Signature, recipe: Recipe | None, path: Path | None, made_up: bool) -> Data:
    """All samples there are, some to calibrate on and the others to judge by.

    What has no label calibrates, every second one of it judges instead. What has one judges,
    unless there is nothing else to calibrate on.

    Args:
        signature: of the model.
        recipe: whose data are taken.
        path: a folder of pictures, recordings or .npz files; or one .npz file.
        made_up: calibrate on random numbers.

    Raises:
        UsageError: there is nothing to calibrate on.
        InputError: a file does not fit the model.
        StorageError, ConfigurationError: a file cannot be read.
    """
    cases = list(_of_recipe(recipe)) if recipe is not None else []
    if path is not None:
        cases += _of_path(signature, recipe, path)
    if not cases and made_up:
        warn("calibrated on random numbers: what is shown says nothing about real data")
        cases = [Case(f"random {seed}", _made_up(signature, seed)) for seed in range(_MADE_UP)]
    if not cases:
        raise _nothing()
    return _divided(cases)


def check_there(recipe: Recipe | None, path: Path | None) -> None:
    """See that there is something to calibrate on, before any work.

    Raises:
        UsageError: there is nothing.
    """
    if path is None and (recipe is None or recipe.data is None):
        raise _nothing()


def _nothing() -> UsageError:
    return UsageError(
        "there is nothing to calibrate on, and ranges cannot be guessed",
        mend="give real inputs with --data FOLDER or --data FILE.npz (in an experiment "
        "`quantize: {data: FOLDER}`), or name a recipe that has data",
    )


def _divided(cases: Sequence[Case]) -> Data:
    labelled = [case for case in cases if case.labelled]
    others = [case for case in cases if not case.labelled]
    if not others:
        calibration, judged = _halves(labelled)
    elif labelled and len(others) < _LEAST_TO_HALVE:
        calibration, judged = others, labelled
    else:
        calibration, held = _halves(others)
        judged = labelled + held
    held_out = not any(case in judged for case in calibration)
    if not held_out or len(judged) < _FEW:
        what = "" if held_out else ", those that were calibrated on"
        warn(
            f"the loss is measured on {plural(len(judged), 'sample')}{what}: give more with --data"
        )
    return Data(tuple(calibration), tuple(judged), held_out)


def _halves(cases: list[Case]) -> tuple[list[Case], list[Case]]:
    return (cases, cases) if len(cases) < _LEAST_TO_HALVE else (cases[::2], cases[1::2])


def _of_recipe(recipe: Recipe) -> list[Case]:
    scored = bool(recipe.metrics)
    return [
        Case(one.name, prepare(recipe, one), one, scored and one.label is not None)
        for one in samples(recipe)
    ]


def _of_path(signature: Signature, recipe: Recipe | None, path: Path) -> list[Case]:
    if path.is_dir():
        return _of_folder(signature, recipe, path)
    if path.suffix.lower() != ".npz":
        raise UsageError(
            "no such folder, and no .npz file",
            where=str(path),
            mend="give a folder of samples, or a file of numpy.savez",
        )
    return _of_arrays(signature, path)


def _of_folder(signature: Signature, recipe: Recipe | None, folder: Path) -> list[Case]:
    known = (*_KINDS, ".npz")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in known]
    if not found:
        raise StorageError(
            "no samples in it", where=str(folder), mend=f"it should hold {', '.join(known)} files"
        )
    if len(found) > _MOST_FILES:
        note(f"{_MOST_FILES} of {len(found)} files are taken, evenly")
        found = [found[index * len(found) // _MOST_FILES] for index in range(_MOST_FILES)]
    cases = []
    for path in found:
        if path.suffix.lower() == ".npz":
            cases += _of_arrays(signature, path)
        else:
            cases.append(_of_file(recipe, path, folder))
    return cases


def _of_file(recipe: Recipe | None, path: Path, folder: Path) -> Case:
    if recipe is None or recipe.preprocess is None:
        raise UsageError(
            "nothing says how it becomes the model's inputs",
            where=str(path),
            mend="name a recipe with `preprocess` (edgetvm recipes new), or give .npz files",
        )
    parameters: dict[str, object] = {"source": ModelFile(path=path.absolute())}
    kind = _KINDS[path.suffix.lower()]
    if kind == "wav" and recipe.stream is not None:
        parameters["sample_rate_hz"] = recipe.stream.sample_rate_hz
    inside = path.relative_to(folder).parent.parts
    by_folder = form_of(recipe) in _LABELLED_BY_FOLDER
    if inside and by_folder and recipe.metrics:
        parameters["label"] = inside[0]
    (sample,) = DATA.run(Processing(kind, parameters))
    return Case(str(path), prepare(recipe, sample), sample, "label" in parameters)


def _of_arrays(signature: Signature, path: Path) -> list[Case]:
    """The samples in an .npz file: each array is one input, or several along its first axis."""
    arrays = read_inputs(path)
    states = {state.input for state in signature.states}
    fed = {spec.name: spec for spec in signature.inputs if spec.name not in states}
    for name in arrays.keys() ^ fed.keys():
        what = "is no input of the model" if name in arrays else "is missing"
        raise InputError(
            f"array {name!r} {what}", where=str(path), mend=f"inputs: {', '.join(fed)}"
        )
    several = {name: _several(spec, arrays[name], path) for name, spec in fed.items()}
    counts = {len(array) for array in several.values()}
    if len(counts) != 1:
        raise InputError(
            f"its arrays hold {' and '.join(map(str, sorted(counts)))} samples",
            where=str(path),
            mend="every input needs as many",
        )
    if signature.states:  # the chunks of one stream
        return [Case(str(path), several)]
    return [
        Case(f"{path} {index}", {name: array[index] for name, array in several.items()})
        for index in range(counts.pop())
    ]


def _several(spec: TensorSpec, array: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """`[samples, *shape]`: of such an array, of one sample, or of samples for a batch of one."""
    one = spec.shape
    batched = one[1:] if one and one[0] == 1 else one
    if array.dtype == spec.dtype:
        for shape, lead in ((one, 0), (one, 1), (batched, 1)):
            if array.ndim == len(shape) + lead and array.shape[lead:] == shape:
                return np.ascontiguousarray(array).reshape(-1, *one)
    sizes = ", ".join(map(str, array.shape))
    raise InputError(
        f"array {spec.name!r} is {array.dtype}[{sizes}]",
        where=str(path),
        mend=f"the model takes {spec}; one more axis in front for several samples",
    )


def _made_up(signature: Signature, seed: int) -> Arrays:
    states = {state.input for state in signature.states}
    drawn = {name: a for name, a in fill(signature, "random", seed).items() if name not in states}
    return {name: a[np.newaxis] for name, a in drawn.items()} if signature.states else drawn
