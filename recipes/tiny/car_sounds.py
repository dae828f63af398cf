"""Sounds of a toy car, as MLPerf Tiny keeps them, and how well an autoencoder repeats them.

A recording is a file of spectra, 128 mel bands each, as float32. Its list `y_labels.csv` has lines
`file,2,label,window,stride`, the last two in bytes: five spectra at once, from each spectrum on. A
label of 1 is a car that is broken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.recipes import DATA, METRICS, POSTPROCESS, PREPROCESS, Prediction, Recipe, Sample
from edgetvm.recipes.folders import csv_rows

Floats = NDArray[np.float32]

WINDOW = 640  # numbers: five spectra of 128 bands
_LIST = "y_labels.csv"
_LINE = re.compile(rf"(?P<name>[^/,]+),2,(?P<label>[01]),{4 * WINDOW},(?P<stride>[0-9]+)")
_SAME = 0.01  # of the larger of two errors

Scale = Annotated[float, Field(gt=0, description="Of the integers; left out of a float network.")]
ZeroPoint = Annotated[int, Field(description="Of the integers.")]


@DATA.register("car-sounds")
def car_sounds(
    *,
    folder: Annotated[
        str | None, Field(description="With recordings and their list: MLPerf Tiny's `ad01`.")
    ] = None,
) -> tuple[Sample, ...]:
    """Windows of recordings of a toy car, whole or broken."""
    if folder is None:
        raise ConfigurationError(
            "no package holds these recordings", where="data.folder", mend="name a folder of them"
        )
    root = Path(folder)
    found = tuple(
        Sample(f"{path.name} {at}", window, label, {"recording": path.name})
        for path, label, stride in _recordings(root)
        for at, window in enumerate(_windows(path, stride))
    )
    if not found:
        raise ConfigurationError(
            "no recording that its list names is there", where=folder, mend="put them beside it"
        )
    return found


def _recordings(root: Path) -> Iterator[tuple[Path, int, int]]:
    """File, label, and the numbers from window to window, of those that are there."""
    table = root / _LIST
    if not table.is_file():
        raise ConfigurationError(
            f"no {_LIST} in it",
            where=str(root),
            mend="write one there, with a line `file,2,label,window,stride` for each recording",
        )
    for number, row in enumerate(csv_rows(table), start=1):
        line = _LINE.fullmatch(",".join(one.strip() for one in row))
        if row and line is None:
            raise ConfigurationError(
                f"no `file,2,label,{4 * WINDOW},stride`: {','.join(row)[:80]!r}",
                where=f"{table}:{number}",
                mend="write a recording's name, 2, 0 or 1 where the car is broken, and the bytes "
                "of a window and from one to the next",
            )
        if line is not None and (root / line["name"]).is_file():
            yield root / line["name"], int(line["label"]), max(1, int(line["stride"]) // 4)


def _windows(path: Path, stride: int) -> Floats:
    """[windows, 640]."""
    with read_errors(path):
        data = path.read_bytes()
    if len(data) % 4 or len(data) < 4 * WINDOW:
        raise ConfigurationError(
            f"{len(data)} bytes, and a window of float32 has {4 * WINDOW}",
            where=str(path),
            mend="leave it out of the list",
        )
    numbers = np.frombuffer(data, "<f4").astype(np.float32)
    return np.lib.stride_tricks.sliding_window_view(numbers, WINDOW)[::stride]


@PREPROCESS.register("spectra")
def spectra(
    recipe: Recipe,
    sample: Sample,
    *,
    input: Annotated[str, Field(description="Name of the input that takes them.")],
    scale: Scale | None = None,
    zero_point: ZeroPoint = 0,
) -> Mapping[str, NDArray[Any]]:
    """Five spectra as one row; as int8 where there is a scale."""
    row = np.asarray(sample.value, np.float32)[np.newaxis]
    if scale is None:
        return {input: row}
    return {input: np.clip(np.round(row / scale) + zero_point, -128, 127).astype(np.int8)}


def _agree(one: Prediction, other: Prediction) -> float:
    apart = abs(one["error"] - other["error"])
    return 100.0 if apart <= _SAME * max(one["error"], other["error"]) else 0.0


@POSTPROCESS.register("repeated-spectra", agreement=_agree)
def repeated_spectra(
    recipe: Recipe,
    outputs: Mapping[str, NDArray[Any]],
    sample: Sample,
    *,
    scale: Scale = 1.0,
    zero_point: ZeroPoint = 0,
) -> Prediction:
    """How far what comes out is from what went in: `error`, the mean of the squares."""
    (found,) = outputs.values()
    repeated = (found.reshape(-1).astype(np.float64) - zero_point) * scale
    return {"error": float(np.square(repeated - np.asarray(sample.value)).mean())}


@METRICS.register("car_auc", reads="repeated-spectra", best=1.0, whole=True)
def car_auc(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """How likely a broken car's recording is repeated worse than a whole one's (area under ROC).

    A recording's error is the mean of its windows'. Source: MLPerf Tiny's rules, ad01.
    """
    errors: dict[tuple[str, object], list[float]] = defaultdict(list)
    for found, sample in zip(predictions, samples, strict=True):
        errors[sample.attributes["recording"], sample.label].append(found["error"])
    whole, broken = (
        np.array([np.mean(some) for (_, label), some in errors.items() if label == wanted])
        for wanted in (0, 1)
    )
    if not len(whole) or not len(broken):
        raise ConfigurationError(
            "all of its recordings are of whole cars, or all of broken ones",
            where="--data",
            mend="give both: the area under ROC tells them apart",
        )
    worse = np.sign(broken[:, np.newaxis] - whole)
    return float((worse.mean() + 1) / 2)
