"""What a search takes over from other kernels, boards, databases and estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.choosing import MARGIN
from edgetvm.tune.cost_model import CostModel, learn_all
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.space import candidate_of
from edgetvm.tune.tasks import Tasks

# Trials of other boards count less than the profile's own.
_FOREIGN = 0.3
# Choices of other databases and boards that are tried first for each task.
_SEEDS = 2


def learn_from_others(
    model: CostModel,
    databases: Sequence[TuningDatabase],
    tasks: Tasks,
    conditions: Conditions,
) -> dict[str, list[KernelChoice]]:
    """Teach the model what is known of other kernels and boards.

    Returns:
        for tasks that were tuned elsewhere, the choices that were best there.
    """
    mine = {task.key for task in tasks.tasks}
    best: dict[str, list[Trial]] = {}
    for at, database in enumerate(databases):
        forms = database.forms()
        own = database.trials(conditions)
        # Of this database the search itself learns what it knows of its tasks.
        known = [one for one in own if at > 0 or one.task not in mine]
        foreign = database.trials_of_architecture(conditions)
        estimated = (
            [] if conditions.estimated else database.trials(replace(conditions, estimated=True))
        )
        learn_all(model, known, forms)
        learn_all(model, foreign, forms, _FOREIGN)
        for trial in (
            *(one for one in own if at > 0 or one.is_from_elsewhere),
            *foreign,
            *estimated,
        ):
            promising = trial.ratio < MARGIN or trial.is_from_elsewhere
            if promising and trial.task in mine and trial.workload == trial.task:
                best.setdefault(trial.task, []).append(trial)
    return {key: _best_choices(trials) for key, trials in best.items()}


def _best_choices(trials: list[Trial]) -> list[KernelChoice]:
    found: dict[object, KernelChoice] = {}
    for trial in sorted(trials, key=lambda one: (one.ratio, one.latency_ms)):
        found.setdefault(candidate_of(trial), trial.choice)
    return list(found.values())[:_SEEDS]
