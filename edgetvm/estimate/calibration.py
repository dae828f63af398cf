"""Clock and costs of misses, fitted to kernels that were measured on a board."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from edgetvm.base.errors import StorageError, UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.base.paths import data_folder
from edgetvm.boards.core import CoreModel, MissCost
from edgetvm.estimate.memory import cycles_with_memory
from edgetvm.estimate.trace import Misses

# Fewer kernels say nothing: so many figures are fitted.
LEAST_POINTS = 6
# How far what is fitted may lie from what the profile says.
_CLOCK = (0.4, 1.6)
_COST = (0.0, 1000.0)
# A cost that the kernels do not tell stays where it was: it counts like so many kernels wrong by e.
_PRIOR = 0.02


@dataclass(frozen=True)
class Point:
    """A kernel that was estimated and measured.

    Attributes:
        name: of the kernel.
        core_cycles: estimated, without memory.
        misses: of each level.
        measured_ms: of one call.
    """

    name: str
    core_cycles: float
    misses: tuple[Misses, ...]
    measured_ms: float


@dataclass(frozen=True)
class Calibration:
    """What was fitted.

    Attributes:
        board: that measured.
        profile: name of the board profile.
        clock_mhz: at which estimated cycles become measured times.
        misses: costs of each level.
        error: factor by which estimates of kernels that were left out of the fit are wrong.
        error_before: with what the profile says.
        kernels: how many were measured.
    """

    board: str
    profile: str
    clock_mhz: float
    misses: tuple[MissCost, ...]
    error: float
    error_before: float
    kernels: int

    def applied(self, core: CoreModel) -> CoreModel:
        """The core with what was fitted."""
        told = f"Calibrated on {self.board} by {self.kernels} kernels."
        source = f"{told} Before that: {core.source}" if core.source else told
        return dataclasses.replace(
            core, misses=self.misses, error=round(self.error, 2), source=source
        )


def calibrate(
    points: Sequence[Point], core: CoreModel, clock_mhz: float, board: str, profile: str
) -> Calibration:
    """Fit a core's clock and costs of misses.

    The error is of each kernel with all others fitted: what a new kernel's will be.

    Args:
        points: kernels that were measured.
        core: where the fit begins, and stays where the kernels tell nothing.
        clock_mhz: of the profile.
        board, profile: names, for the record.

    Raises:
        UsageError: there are too few kernels.
    """
    if len(points) < LEAST_POINTS:
        raise UsageError(
            f"{len(points)} kernels were measured, and a fit needs {LEAST_POINTS}",
            mend="calibrate with a model of more kernels",
        )
    begin = Fit(1.0, core)
    before = begin.errors(points, clock_mhz)
    left_out = []
    for at, point in enumerate(points):
        others = [*points[:at], *points[at + 1 :]]
        left_out += fitted(others, core, clock_mhz).errors([point], clock_mhz)
    fit = fitted(points, core, clock_mhz)
    return Calibration(
        board,
        profile,
        clock_mhz * fit.clock,
        tuple(MissCost(round(one.random, 2), round(one.foreseen, 2)) for one in fit.core.misses),
        error_factor(left_out),
        error_factor(before),
        len(points),
    )


@dataclass(frozen=True)
class Fit:
    """Figures that are fitted: the clock as a factor on the profile's, and a core's costs."""

    clock: float
    core: CoreModel

    @property
    def values(self) -> list[float]:
        """All of them."""
        costs = [cost for one in self.core.misses for cost in (one.random, one.foreseen)]
        return [self.clock, *costs]

    def moved(self, values: Sequence[float]) -> Fit:
        """With other values."""
        clock, *costs = map(float, values)
        misses = tuple(map(MissCost, costs[0::2], costs[1::2]))
        return Fit(clock, dataclasses.replace(self.core, misses=misses))

    def errors(self, points: Sequence[Point], clock_mhz: float) -> list[float]:
        """Logarithms of estimated over measured times."""
        return [
            math.log(
                cycles_with_memory(one.core_cycles, one.misses, self.core)
                / (clock_mhz * self.clock * 1e3)
                / one.measured_ms
            )
            for one in points
        ]


def fitted(points: Sequence[Point], core: CoreModel, clock_mhz: float) -> Fit:
    """The clock and the costs of misses by which estimates are nearest to measurements.

    Least squares of logarithms, within bounds, robust against a kernel that is mispriced.
    """
    from scipy.optimize import least_squares

    first = Fit(1.0, core)
    begin = np.array(first.values)
    low = np.array([_CLOCK[0], *[_COST[0]] * (len(begin) - 1)])
    high = np.array([_CLOCK[1], *[_COST[1]] * (len(begin) - 1)])
    scales = np.maximum(begin, 1.0)

    def distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.array(first.moved(values.tolist()).errors(points, clock_mhz))
        return np.concatenate([found, _PRIOR * (values - begin) / scales])

    start = np.clip(begin, low, high)
    found = least_squares(
        distances, start, bounds=(low, high), x_scale=scales, loss="soft_l1", f_scale=0.2
    )
    return first.moved(found.x.tolist())


def error_factor(logarithms: Sequence[float]) -> float:
    """The geometric mean of how many times too large or too small estimates are."""
    return math.exp(sum(map(abs, logarithms)) / max(1, len(logarithms)))


def _file(profile: str) -> Path:
    return data_folder() / "calibrations" / f"{profile}.json"


def save_calibration(calibration: Calibration) -> Path:
    """Keep it: estimates for its profile take it from now on.

    Raises:
        StorageError: it cannot be written.
    """
    path = _file(calibration.profile)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    document: Any = TypeAdapter(Calibration).dump_python(calibration, mode="json")
    write_text(path, json.dumps(document, indent=1) + "\n")
    return path


def load_calibration(profile: str) -> Calibration | None:
    """What was fitted for a profile; None where nothing was.

    Raises:
        StorageError: the file is damaged.
    """
    path = _file(profile)
    if not path.exists():
        return None
    try:
        return TypeAdapter(Calibration).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StorageError(
            "this calibration cannot be read", where=str(path), mend="remove it and calibrate again"
        ) from error
