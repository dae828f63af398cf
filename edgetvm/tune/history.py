"""How the trials of a profile came to what is taken now: for reports."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetvm.boards.roofline import Roofline
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.summary import TaskSummary, summaries
from edgetvm.tune.verdicts import TunedKernel

# Between two trials that lie further apart nobody was tuning.
_PAUSE_S = 120.0


@dataclass(frozen=True)
class Point:
    """What was known after a trial.

    Attributes:
        elapsed_s: time spent tuning until then.
        kernels_ms: latency of the kernels with the fastest schedules measured so far.
    """

    elapsed_s: float
    kernels_ms: float


@dataclass(frozen=True)
class TaskHistory:
    """One task.

    Attributes:
        summary: its trials in a few numbers.
        kernel: as the model calls it; None where the model is not known.
        share: of the kernels' time untuned, 0 to 1.
    """

    summary: TaskSummary
    kernel: TunedKernel | None
    share: float


@dataclass(frozen=True)
class History:
    """All under the same conditions, or what of it belongs to a model.

    Attributes:
        conditions: of the trials.
        model: whose kernels they are; empty where all that was tuned is told, each kernel called
            once.
        tasks: those that take most time first.
        curve: a point for each trial whose time is known, in the order of time; at the end, where
            what is taken now differs from the fastest measured, a point for that.
        outcomes: how often each came.
        boards: what each board last said of itself, by name.
        began_at, ended_at: of the trials, in seconds since 1970.
        roofline: of the boards; None where it is not known.
    """

    conditions: Conditions
    model: str
    tasks: tuple[TaskHistory, ...]
    curve: tuple[Point, ...]
    outcomes: Mapping[str, int]
    boards: Mapping[str, Mapping[str, object]]
    began_at: float
    ended_at: float
    roofline: Roofline | None

    @property
    def default_ms(self) -> float:
        """All kernels untuned."""
        return sum(_calls(one.kernel) * (one.summary.default_ms or 0.0) for one in self.tasks)

    @property
    def best_ms(self) -> float:
        """All kernels with what is taken now."""
        return sum(_calls(one.kernel) * (one.summary.best_ms or 0.0) for one in self.tasks)


def history(
    database: TuningDatabase,
    conditions: Conditions,
    tuned: Sequence[TunedKernel] | None = None,
    model: str = "",
    roofline: Roofline | None = None,
) -> History | None:
    """What the database tells of trials under the same conditions; None where there are none.

    Args:
        database: with the trials.
        conditions: of the trials.
        tuned: kernels of a model, to tell of them only; all that was tuned without it.
        model: its name.
        roofline: of the boards, to tell how near its kernels come to it.

    Raises:
        StorageError: the database cannot be read.
    """
    kernels = None if tuned is None else {one.key: one for one in tuned}
    numbered = [
        (number, trial)
        for number, trial in database.numbered(conditions)
        if kernels is None or trial.task in kernels
    ]
    if not numbered:
        return None
    trials = [trial for _, trial in numbered]
    at = database.measured_at(conditions)
    times = [at[number] for number, _ in numbered]
    known = [
        one
        for one in summaries(database, conditions.profile)
        if one.conditions == conditions and (kernels is None or one.task in kernels)
    ]
    tasks = _tasks(known, kernels or {})
    return History(
        conditions,
        model,
        tasks,
        _curve(trials, _spent_s(times), tasks),
        Counter(one.outcome for one in trials),
        {one.board: one.environment for one in trials if one.board},
        min(times),
        max(times),
        roofline,
    )


def _calls(kernel: TunedKernel | None) -> int:
    return 1 if kernel is None else kernel.calls


def _tasks(
    known: Sequence[TaskSummary], kernels: Mapping[str, TunedKernel]
) -> tuple[TaskHistory, ...]:
    spent_ms = {one.task: _calls(kernels.get(one.task)) * (one.default_ms or 0.0) for one in known}
    total_ms = sum(spent_ms.values()) or 1.0
    found = [
        TaskHistory(one, kernels.get(one.task), spent_ms[one.task] / total_ms) for one in known
    ]
    return tuple(sorted(found, key=lambda one: -one.share))


def _spent_s(times: Sequence[float]) -> list[float]:
    """Time spent tuning until each trial, without the pauses between searches."""
    spent, total_s = [], 0.0
    for before, now in zip([times[0], *times], times, strict=False):
        gap_s = max(0.0, now - before)
        total_s += gap_s if gap_s < _PAUSE_S else 0.0
        spent.append(total_s)
    return spent


def _curve(
    trials: Sequence[Trial], spent_s: Sequence[float], tasks: Sequence[TaskHistory]
) -> tuple[Point, ...]:
    """A trial counts by what it gained over the default of its own session."""
    default_ms = {
        one.summary.task: _calls(one.kernel) * one.summary.default_ms
        for one in tasks
        if one.summary.default_ms is not None
    }
    best = dict.fromkeys(default_ms, 1.0)
    total_ms, points = sum(default_ms.values()), []
    for trial, elapsed_s in zip(trials, spent_s, strict=True):
        if trial.task in best and math.isfinite(trial.ratio):
            gained = best[trial.task] - min(best[trial.task], trial.ratio)
            best[trial.task] -= gained
            total_ms -= gained * default_ms[trial.task]
            points.append(Point(elapsed_s, total_ms))
    taken_ms = sum(_calls(one.kernel) * (one.summary.best_ms or 0.0) for one in tasks)
    if points and not math.isclose(total_ms, taken_ms):
        points.append(Point(spent_s[-1], taken_ms))
    return tuple(points)
