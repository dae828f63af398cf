"""In a process of its own: tunes models one after the other until the time is used up.

    python -m benchmarks.tuning.suite_tuner MINUTES DATABASE NOTES MODEL...

Every model first gets the same short time. What is left goes in short turns to the model that is
expected to gain most in its next one: as much as in its last, in parts of its latency, since each
counts the same in a geometric mean. NOTES is written anew after each turn, as JSON.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.latency.rounds import say
from edgetvm.base.errors import EdgetvmError
from edgetvm.base.workers import end_with_owner

if TYPE_CHECKING:
    from edgetvm.farm import Board
    from edgetvm.tune.building import Builder, LocalBuilder

# Of all the time, what the first turns of all models get together.
_FIRST = 0.85
# A model that gained nothing may have been unlucky.
_LEAST_HOPE = 0.002
_FADING = 0.5
_LEAST_SEARCH_S = 2.0
# Around a search, where nothing is known yet, as a part of the turn: import, comparisons.
_AROUND = 0.5


@dataclass(frozen=True)
class Turn:
    """Of one model.

    Attributes:
        model: its file.
        search_s: that trials were made for.
        took_s: with all that tuning has around them.
        trials: measured.
        default_ms, tuned_ms: of the whole model, compared at its end; 0 where it failed.
        error: why, if it did.
    """

    model: str
    search_s: float
    took_s: float
    trials: int = 0
    default_ms: float = 0.0
    tuned_ms: float = 0.0
    error: str = ""

    @property
    def gain(self) -> float:
        """Logarithm of the default's latency over the tuned one's."""
        return math.log(self.default_ms / self.tuned_ms) if self.tuned_ms else 0.0


def hope(turns: Sequence[Turn]) -> float:
    """What a model's next turn may gain in a second."""
    if any(one.error for one in turns):
        return 0.0
    gained = turns[-1].gain - (turns[-2].gain if len(turns) > 1 else 0.0)
    return max(gained, _LEAST_HOPE) * _FADING ** len(turns) / turns[-1].took_s


def tune_all(
    models: Sequence[str],
    time_s: float,
    tune: Callable[[str, float], Turn],
    note: Callable[[list[Turn]], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Tune within the time.

    Args:
        models: their files.
        time_s: for all of them.
        tune: tunes a model, making trials for so many seconds.
        note: is told of all turns after each.
        clock: seconds.
    """
    until_s = clock() + time_s
    turns: list[Turn] = []

    def take(model: str, slot_s: float) -> None:
        before = [one for one in turns if one.model == model] or turns
        turns.append(tune(model, search_s(slot_s, before)))
        note(turns)

    for at, model in enumerate(models):
        first_s = until_s - (1 - _FIRST) * time_s - clock()
        take(model, first_s / (len(models) - at))
    while (left_s := until_s - clock()) > 0:
        of_models = {one: [turn for turn in turns if turn.model == one] for one in models}
        model = max(models, key=lambda one: hope(of_models[one]))
        if hope(of_models[model]) == 0:
            break
        take(model, min(left_s, _FIRST * time_s / len(models)))


def search_s(slot_s: float, before: Sequence[Turn]) -> float:
    """How long a turn of that length may make trials, by what earlier turns took around them."""
    known = [one.took_s - one.search_s for one in before if not one.error]
    around_s = median(known) if known else _AROUND * slot_s
    return max(_LEAST_SEARCH_S, slot_s - around_s)


def main() -> None:
    """Tune on the local board, all models into one database."""
    end_with_owner()
    minutes, database, notes, *models = sys.argv[1:]
    from edgetvm.farm import LocalBoard
    from edgetvm.tune.building import LocalBuilder

    def note(turns: list[Turn]) -> None:
        Path(notes).write_text(json.dumps([asdict(one) for one in turns]))

    builder = LocalBuilder(len(os.sched_getaffinity(0)))
    with closing(builder), LocalBoard() as local:
        tune = partial(_tuned, local.board, _Kept(builder), Path(database))
        tune_all(models, 60 * float(minutes), tune, note)


class _Kept:
    """A builder that the next search uses too."""

    def __init__(self, builder: LocalBuilder) -> None:
        self.workers = builder.workers
        self.submit, self.draw, self.paused = builder.submit, builder.draw, builder.paused

    def close(self) -> None:
        """It is closed by whoever made it."""


def _tuned(board: Board, builder: Builder, database: Path, model: str, seconds: float) -> Turn:
    from edgetvm.tune import Budget
    from edgetvm.workflow import find_subject, tune

    began_s = time.monotonic()
    try:
        # An end by itself, where nothing gains any more, leaves the time to others.
        budget = Budget(time_s=seconds, until_flat=True)
        subject = find_subject(model)
        found = tune(subject, [board], budget, database, builder=lambda: builder)
    except EdgetvmError as error:
        turn = Turn(model, seconds, time.monotonic() - began_s, error=str(error))
    else:
        progress = found.tuned.progress
        turn = Turn(
            model, progress.elapsed_s, time.monotonic() - began_s,
            found.tuned.trials, float(found.default_ms), float(found.tuned_ms),
        )  # fmt: skip
    say(f"{Path(model).parent.name}: {turn}")
    return turn


if __name__ == "__main__":
    main()
