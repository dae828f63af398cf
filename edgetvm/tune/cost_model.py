"""Predicts how much faster than the default a candidate is, from those that were measured.

Gradient-boosted trees over numbers that describe the kernel and its decisions, one ensemble for
each schedule rule, as in Chen et al. 2018, "Learning to Optimize Tensor Programs".
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import MissingToolError
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.generic import TITLE
from edgetvm.tune.records import Trial
from edgetvm.tune.tasks import Form

# With fewer trials of a rule nothing is predicted.
_LEAST = 16
# New trials of a rule until its trees are grown anew: so many, or this share of those they know.
_STALE = 32
_STALE_SHARE = 0.15
_TREES = 60
_NUMBERS = 6
_EXTENTS = 6
# Decisions that are told; a rule has fewer.
_DECISIONS = 8
# Numbers of a trace that are told.
_TRACE_NUMBERS = 48
# What a candidate that failed counts as.
_FAILED = 4.0
_DIGITS = re.compile(r"\d+")


class CostModel:
    """Learns from trials. See `Ranking`."""

    def __init__(self) -> None:
        """Begin with nothing.

        Raises:
            MissingToolError: xgboost is not installed.
        """
        try:
            import xgboost
        except ImportError as error:
            raise MissingToolError(
                "xgboost, which ranks candidates, is not installed",
                mend="run: pip install 'edgetvm[tune]'",
            ) from error
        self._xgboost = xgboost
        self._rows: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        self._targets: dict[str, list[float]] = defaultdict(list)
        self._weights: dict[str, list[float]] = defaultdict(list)
        self._grown: dict[str, tuple[int, Any]] = {}

    def learn(self, form: Form, trial: Trial, weight: float = 1.0) -> None:
        """Take a trial into account.

        Args:
            form: that was scheduled.
            trial: what became of it.
            weight: less than 1 where it was measured on another board.
        """
        if trial.outcome == "board lost" or trial.is_from_elsewhere:
            return
        (row,) = features(form, [trial.choice])
        self._rows[trial.choice.rule].append(row)
        ratio = min(trial.ratio, _FAILED)
        self._targets[trial.choice.rule].append(math.log(max(ratio, 1e-3)))
        self._weights[trial.choice.rule].append(weight)

    def predict(self, form: Form, choices: list[KernelChoice]) -> list[float] | None:
        """The logarithm of the latency of each over the default's; None with too few trials."""
        rule = choices[0].rule
        count = len(self._targets[rule])
        if count < _LEAST:
            return None
        grown = self._grown.get(rule)
        if grown is None or count - grown[0] >= max(_STALE, _STALE_SHARE * count):
            grown = self._grown[rule] = count, self._grow(rule)
        rows = features(form, choices)
        return [float(one) for one in grown[1].predict(self._xgboost.DMatrix(rows))]

    def _grow(self, rule: str) -> Any:
        data = self._xgboost.DMatrix(
            np.stack(self._rows[rule]), self._targets[rule], weight=self._weights[rule]
        )
        settings = {"max_depth": 6, "eta": 0.2, "nthread": 1, "verbosity": 0, "seed": 0}
        return self._xgboost.train(settings, data, num_boost_round=_TREES)


def features(form: Form, choices: Sequence[KernelChoice]) -> NDArray[np.float32]:
    """`[choices, n]` numbers that describe candidates, the same n for all forms of a rule.

    Logarithms of the extents of its tensors, then for each decision, in the order of names, the
    numbers in its text (`1x7 points of 3x16 lanes`) and where it stands among its candidates. Of a
    trace, the numbers that it decides on.
    """
    extents: list[float] = []
    for tensor in _ends(form):
        told = [math.log2(max(size, 1)) for size in tensor[-_EXTENTS:]]
        extents += [*told, *[0.0] * (_EXTENTS - len(told))]
    if choices[0].trace is not None:
        rows = [[*extents, *_of_trace(one.trace or "")] for one in choices]
        return np.asarray(rows, "float32")
    # Thousands of candidates share a few values of each decision.
    told_of = {
        name: {value: _told(value, form.candidates[name]) for value in form.candidates[name]}
        for name in sorted(form.candidates)[:_DECISIONS]
    }
    nothing = [0.0] * ((_DECISIONS - len(told_of)) * (1 + _NUMBERS))
    return np.asarray(
        [[*extents, *_of_decisions(form, one, told_of), *nothing] for one in choices], "float32"
    )


def _of_decisions(
    form: Form, choice: KernelChoice, told_of: Mapping[str, Mapping[str, list[float]]]
) -> list[float]:
    numbers: list[float] = []
    for name, told in told_of.items():
        value = choice.decisions.get(name, form.defaults[name])
        numbers += told[value] if value in told else _told(value, form.candidates[name])
    return numbers


def _of_trace(trace: str) -> list[float]:
    """How many instructions it has, which tells sketches apart, and the numbers it decides on."""
    instructions, decisions = json.loads(trace)
    decided = [
        number for _, one in decisions for number in (one if isinstance(one, list) else [one])
    ]
    found = [math.log2(1 + max(number, -0.5)) for number in decided][:_TRACE_NUMBERS]
    return [len(instructions), *found, *[0.0] * (_TRACE_NUMBERS - len(found))]


def _ends(form: Form) -> Iterable[tuple[int, ...]]:
    """Shapes of the first two arguments and the last, the result."""
    shapes = [one.shape for one in form.arguments]
    return [shapes[0], shapes[min(1, len(shapes) - 1)], shapes[-1]]


def _told(value: str, candidates: tuple[str, ...]) -> list[float]:
    found = [math.log2(1 + int(one)) for one in _DIGITS.findall(value)][:_NUMBERS]
    place = candidates.index(value) / len(candidates) if value in candidates else -1.0
    return [place, *found, *[0.0] * (_NUMBERS - len(found))]


def learn_all(
    model: CostModel, trials: Iterable[Trial], forms: Mapping[str, Form], weight: float = 1.0
) -> None:
    """Learn from trials whose forms are known, by workload key."""
    for trial in trials:
        form = forms.get(trial.workload)
        if form is not None and trial.choice.rule in (form.rule, TITLE):
            model.learn(form, trial, weight)
