"""Which candidate of a task to try next: the rules' decisions, ranked by what is known so far."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.records import Trial
from edgetvm.tune.tasks import Form

# A space is listed whole where it has no more schedules; of a larger one so many are drawn.
_LISTED = 4096
# Of those that are left so many are ranked at a time.
_RANKED = 1024
# Of the candidates proposed, those that are drawn blindly: a model that is wrong must be found out.
_BLIND = 0.2

Key = tuple[str, tuple[tuple[str, str], ...], str | None]


class Ranking(Protocol):
    """Whoever tells good candidates from bad ones."""

    def predict(self, form: Form, choices: list[KernelChoice]) -> list[float] | None:
        """The latency of each over the default's, or anything that grows with it; None where
        nothing is known."""


def key_of(workload: str, choice: KernelChoice) -> Key:
    """What tells candidates apart."""
    return workload, tuple(sorted(choice.decisions.items())), choice.trace


def candidate_of(trial: Trial) -> Key:
    """The candidate that a trial was of."""
    return key_of(trial.workload, trial.choice)


class Space:
    """The schedules of one form of a task that were not tried yet."""

    def __init__(self, form: Form) -> None:
        """List them, or draw some."""
        self.form = form
        self._random = chance_of(form)
        self._left = list(_choices(form, self._random))

    @property
    def left(self) -> int:
        """How many were not proposed yet."""
        return len(self._left)

    def leave_out(self, known: Iterable[Key]) -> None:
        """Never propose these."""
        gone = set(known)
        self._left = [one for one in self._left if key_of(self.form.workload, one) not in gone]

    def propose(self, count: int, ranking: Ranking) -> list[KernelChoice]:
        """The next candidates, most of them those that are ranked first."""
        at = picked(self.form, self._left, count, ranking, self._random)
        chosen = [self._left[one] for one in at]
        gone = set(at)
        self._left = [one for place, one in enumerate(self._left) if place not in gone]
        return chosen


def chance_of(form: Form) -> random.Random:
    """Chance of one's own in each process: two that tune the same do not try the same."""
    return random.Random(f"{form.workload} {os.getpid()}")  # noqa: S311 - a search


def picked(
    form: Form, choices: list[KernelChoice], count: int, ranking: Ranking, draw: random.Random
) -> list[int]:
    """Places of the choices to try next: most of them ranked first, some drawn blindly."""
    order = draw.sample(range(len(choices)), min(len(choices), _RANKED))
    predicted = ranking.predict(form, [choices[at] for at in order]) if choices else None
    if predicted is not None:
        blind, rest = order[: round(count * _BLIND)], order[round(count * _BLIND) :]
        latency = dict(zip(order, predicted, strict=True))
        order = [*sorted(rest, key=latency.__getitem__)[: count - len(blind)], *blind]
    return order[:count]


def _choices(form: Form, draw: random.Random) -> Iterator[KernelChoice]:
    """The schedules of a form, but the one that is the untuned model's own."""
    if form.operators:
        yield KernelChoice(form.rule)
    names = list(form.candidates)
    if math.prod(len(one) for one in form.candidates.values()) <= _LISTED:
        lots: Iterable[tuple[str, ...]] = itertools.product(*form.candidates.values())
    else:
        lots = dict.fromkeys(
            tuple(draw.choice(one) for one in form.candidates.values()) for _ in range(_LISTED)
        )
    for values in lots:
        decisions = _differing(dict(zip(names, values, strict=True)), form.defaults)
        if decisions:
            yield KernelChoice(form.rule, decisions)


def _differing(decisions: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in decisions.items() if value != defaults[name]}
