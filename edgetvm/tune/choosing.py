"""Which of the trials of a task the compiler takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from edgetvm.base.files import sha256_of
from edgetvm.compile.tuned import KernelChoice, TunedSchedules
from edgetvm.tune.records import Trial
from edgetvm.tune.space import candidate_of

# What a candidate must gain over the default to be taken before it was compared with it.
MARGIN = 0.97
# Number of the winner or None for the default, its gain, and the last trial that was known.
Verdict = tuple[int | None, float, int]


def best_of(trials: Iterable[tuple[int, Trial]], verdict: Verdict | None) -> Trial | None:
    """The trial of a task to use; None for the default.

    A verdict counts until a later trial is faster than it by the margin: in its own session, and
    beside the fastest look at the default on that board. Where something else ran while the default
    was timed, everything after it looks fast.

    Args:
        trials: of the task, with their numbers.
        verdict: winner's number or None, gain, and the last trial that it knew.
    """
    winner, gain, through = verdict or (None, 1.0, 0)
    known = dict(trials)
    fastest_ms: dict[str, float] = {}
    for trial in known.values():
        if trial.default_ms > 0:
            least_ms = min(trial.default_ms, fastest_ms.get(trial.board, trial.default_ms))
            fastest_ms[trial.board] = least_ms
    wrong = {candidate_of(one) for one in known.values() if one.outcome == "wrong result"}
    best = known.get(winner) if winner is not None else None
    limit = MARGIN / gain
    for number, trial in known.items():
        if number <= through or trial.ratio >= limit or candidate_of(trial) in wrong:
            continue
        ratio = trial.latency_ms / fastest_ms[trial.board]
        if ratio < limit:
            best, limit = trial, ratio
    return best


def joined(best: Iterable[Trial]) -> TunedSchedules:
    """The best of each task together.

    Operators are decided once for all kernels that they end up in: by the largest gain.
    """
    kernels: dict[str, KernelChoice] = {}
    operators: dict[str, tuple[float, Mapping[str, str]]] = {}
    for trial in sorted(best, key=lambda one: one.ratio, reverse=True):
        kernels[trial.workload] = trial.choice
        for key, decisions in trial.operators.items():
            gain = trial.default_ms - trial.latency_ms
            if key not in operators or gain > operators[key][0]:
                operators[key] = gain, decisions
    return TunedSchedules(kernels, {key: decisions for key, (_, decisions) in operators.items()})


def digest(schedules: TunedSchedules) -> str:
    """Of all choices: what a package depends on."""
    return sha256_of(json.dumps(asdict(schedules), sort_keys=True).encode())
