"""What a database knows of each kernel, in a few numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.tune.choosing import Verdict, best_of
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions, Trial


@dataclass(frozen=True)
class TaskSummary:
    """One task under the same conditions.

    Attributes:
        conditions: of its trials.
        task: its key.
        description: its operators with their shapes.
        trials: all of them.
        failed: those of them that gave no time.
        default_ms: latency of one call untuned; None where it was not measured.
        best_ms: with what the compiler takes now, which is the default where nothing beats it.
        rule: that made it.
    """

    conditions: Conditions
    task: str
    description: str
    trials: int
    failed: int
    default_ms: float | None
    best_ms: float | None
    rule: str

    @property
    def gain(self) -> float:
        """The default's latency over the best."""
        return self.default_ms / self.best_ms if self.default_ms and self.best_ms else 1.0


def summaries(database: TuningDatabase, profile: str | None = None) -> list[TaskSummary]:
    """Of all tasks; of one profile if named. Those that were tried most first.

    Raises:
        StorageError: the database cannot be read.
    """
    descriptions = database.descriptions()
    found = []
    for conditions in database.conditions(profile):
        verdicts = database.verdicts(conditions)
        by_task: dict[str, list[tuple[int, Trial]]] = defaultdict(list)
        for number, trial in database.numbered(conditions):
            by_task[trial.task].append((number, trial))
        found += [
            _summary(conditions, task, descriptions.get(task, task), trials, verdicts.get(task))
            for task, trials in by_task.items()
        ]
    return sorted(found, key=lambda one: -one.trials)


def _summary(
    conditions: Conditions,
    task: str,
    description: str,
    trials: Sequence[tuple[int, Trial]],
    verdict: Verdict | None,
) -> TaskSummary:
    defaults = [one for _, one in trials if one.is_default]
    measured = [one.latency_ms for one in defaults if one.outcome == "ok"]
    default_ms = measured[-1] if measured else None
    best = best_of(trials, verdict)
    return TaskSummary(
        conditions,
        task,
        description,
        len(trials),
        sum(one.outcome != "ok" for _, one in trials),
        default_ms,
        None if default_ms is None else default_ms / _gain(best, trials, verdict),
        best.choice.rule if best is not None else defaults[0].choice.rule if defaults else "",
    )


def _gain(
    best: Trial | None, trials: Sequence[tuple[int, Trial]], verdict: Verdict | None
) -> float:
    """Of the comparison that the best trial won, else of its own session."""
    if best is None:
        return 1.0
    won = verdict is not None and dict(trials).get(verdict[0] or 0) is best
    return verdict[1] if won and verdict is not None else 1 / best.ratio
