"""What a report tells beside its measurements: earlier ones, how the boards are, how it was tuned.

It stands in JSON reports as it is, so that one that is opened later tells the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from pydantic.dataclasses import dataclass

from edgetvm.measure.experiment.membership import PartOf
from edgetvm.measure.measurement import Measurement

Part = TypeVar("Part")


@dataclass(frozen=True)
class Past:
    """A measurement of a model's history.

    Attributes:
        id, taken_at, model, device, scenario, threads: of it.
        options: that it was compiled with, in words.
        p50_ms, p90_ms: its figures.
        valid: whether it met the rules of its scenario.
    """

    id: str
    taken_at: str
    model: str
    device: str
    scenario: str
    threads: int
    options: str
    p50_ms: float
    p90_ms: float
    valid: bool

    def is_of(self, measurement: Measurement) -> bool:
        """Whether it is of the same model, board and setting, so that both can be compared."""
        place = measurement.environment
        return (self.model, self.device, self.scenario, self.threads, self.options) == (
            measurement.model,
            place.device,
            measurement.scenario,
            place.threads,
            str(measurement.options),
        )


@dataclass(frozen=True)
class BoardHealth:
    """A board as the farm knows it.

    Attributes:
        health: `good`, `unknown`, `bad` or `maintenance`.
        detail: why.
        proven_age_s: since a session with it last proved it good; None where none did.
        temperature_c: then; None where it does not tell.
        endings: how its last leases ended, the newest first.
    """

    board: str
    health: str
    detail: str
    proven_age_s: float | None
    temperature_c: float | None
    endings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TuningCurve:
    """How the kernels of a model became faster.

    Attributes:
        profile, level: that they were tuned for.
        default_ms, best_ms: of all calls of a run, untuned and with what is taken now.
        trials: of them.
        points: minutes spent, and milliseconds with the fastest schedules until then.
    """

    model: str
    profile: str
    level: str
    default_ms: float
    best_ms: float
    trials: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Background:
    """All of that; each part is empty where nothing is known.

    Attributes:
        experiments: of which measurements are parts.
    """

    history: tuple[Past, ...] = ()
    boards: tuple[BoardHealth, ...] = ()
    tuning: tuple[TuningCurve, ...] = ()
    experiments: tuple[PartOf, ...] = ()

    def part_of(self, measurement: Measurement) -> str:
        """The experiment and variant that a measurement is of; empty where it is of none."""
        return next((str(one) for one in self.experiments if one.measurement == measurement.id), "")


NO_BACKGROUND = Background()


def merged(several: Sequence[Background]) -> Background:
    """All of several together; what is the same in two stands once."""
    return Background(
        _once(past for one in several for past in one.history),
        _once(board for one in several for board in one.boards),
        _once(curve for one in several for curve in one.tuning),
        _once(part for one in several for part in one.experiments),
    )


def _once(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(dict.fromkeys(parts))
