"""How much is lost by answering otherwise: by a recipe's own measures, or by the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.model import Arrays
from edgetvm.recipes import METRICS, Recipe, decision_agreement, interpret, lost_pct, score
from edgetvm.workflow.quantising.data import Case

Answer = Callable[[Arrays], Mapping[str, NDArray[np.generic]]]

_ERROR = "output_error_pct"
_SUM_OFF = 1e-3


@dataclass(frozen=True)
class Figure:
    """One measure of a model beside its float original.

    Attributes:
        name: `top1`, say.
        told: what it is, in words.
        original: of the float model; None for a measure that compares the two.
        value: of the other one.
        loss_pct: what is lost, in percent of the best value; None for what is only told.
        samples: that it was taken on.
    """

    name: str
    told: str
    original: float | None
    value: float
    loss_pct: float | None
    samples: int


def loss_pct(figures: Sequence[Figure]) -> float:
    """The worst loss of all figures."""
    return max(one.loss_pct for one in figures if one.loss_pct is not None)


def output_error_pct(figures: Sequence[Figure]) -> float:
    """The error of the outputs, which is always among the figures."""
    return next(one.value for one in figures if one.name == _ERROR)


class Judge:
    """Measures answers against those of the float model, on the same cases.

    The loss is, with a recipe: on labelled samples, how much each of its metrics drops; on others,
    how many of the float model's decisions are not shared. Without one: the error of the outputs.
    """

    def __init__(self, recipe: Recipe | None, cases: Sequence[Case], original: Answer) -> None:
        self._recipe = recipe
        self._cases = cases
        self._expected = [dict(original(case.inputs)) for case in cases]

    def figures(self, answer: Answer) -> tuple[Figure, ...]:
        """All measures of a model.

        Args:
            answer: runs it: a case's inputs in, outputs out; for a stream, of all chunks.
        """
        found = [dict(answer(case.inputs)) for case in self._cases]
        decided = [*self._metrics(found), *self._decisions(found)]
        return (*decided, *_errors(found, self._expected, counts=not decided))

    def _metrics(self, found: list[dict[str, Any]]) -> list[Figure]:
        recipe = self._recipe
        chosen = [
            (index, case.sample)
            for index, case in enumerate(self._cases)
            if case.labelled and case.sample is not None
        ]
        if recipe is None or not chosen:
            return []
        samples = [one for _, one in chosen]
        before, after = (
            score(recipe, [interpret(recipe, answers[at], one) for at, one in chosen], samples)
            for answers in (self._expected, found)
        )
        figures = []
        for name in recipe.metrics:
            a, b, best = before[name], after[name], METRICS.best(name)
            told = METRICS.summary(name).rstrip(".")
            figures.append(Figure(name, told, a, b, lost_pct(a, b, best), len(chosen)))
        return figures

    def _decisions(self, found: list[dict[str, Any]]) -> list[Figure]:
        recipe = self._recipe
        if recipe is None or recipe.postprocess is None:
            return []
        agreed = []
        for case, ours, theirs in zip(self._cases, found, self._expected, strict=True):
            if case.sample is not None and not case.labelled:
                a, b = (interpret(recipe, one, case.sample) for one in (ours, theirs))
                agreed.append(decision_agreement(recipe, a, b))
        if not agreed:
            return []
        value = fmean(agreed)
        told = "Percent of the float model's decisions that are shared"
        return [Figure("decision_agreement_pct", told, None, value, 100 - value, len(agreed))]


def _errors(
    found: Sequence[Arrays], expected: Sequence[Arrays], counts: bool
) -> tuple[Figure, ...]:
    """The outputs' error; of class probabilities, how much of them moved."""
    names = list(expected[0])
    pairs = {
        name: (
            np.concatenate([np.ravel(one[name]) for one in found]),
            np.concatenate([np.ravel(one[name]) for one in expected]),
        )
        for name in names
    }
    error = 100 * max(relative_error(*pair) for pair in pairs.values())
    told = "Root mean square of the outputs' error, in percent of that of the float outputs"
    size = len(expected)
    if not all(_are_probabilities(one[name]) for one in expected for name in names):
        loss = error if counts else None
        return (Figure(_ERROR, told, None, error, loss, size), *_best(found, expected))
    moved = 50 * max(
        float(np.mean([_moved(a[name], b[name]) for a, b in zip(found, expected, strict=True)]))
        for name in names
    )
    probability = "Percent of the probability that lies on other classes than in float"
    return (
        Figure(_ERROR, told, None, error, None, size),
        Figure("probability_moved_pct", probability, None, moved, moved if counts else None, size),
        *_best(found, expected),
    )


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Root mean square of the difference, divided by that of what is expected.

    Infinite where a difference is not finite; of zeros, 0 or infinite.
    """
    a, b = found.astype(np.float64), expected.astype(np.float64)
    apart = float(np.sqrt(np.mean((a - b) ** 2))) if a.size else 0.0
    size = float(np.sqrt(np.mean(b**2))) if b.size else 0.0
    if not np.isfinite(apart):
        return float("inf")
    return apart / size if size else (float("inf") if apart else 0.0)


def _are_probabilities(array: NDArray[Any]) -> bool:
    """Whether the last axis holds the probabilities of classes: they sum to 1."""
    if array.ndim < 2 or array.shape[-1] < 2 or array.dtype.kind != "f":
        return False
    positive = bool((array >= 0).all())
    return positive and bool((np.abs(array.sum(axis=-1) - 1) < _SUM_OFF).all())


def _moved(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Mean over the rows of the sum of differences: twice the total variation distance."""
    return float(np.abs(found.astype(np.float64) - expected).sum(axis=-1).mean())


def _best(found: Sequence[Arrays], expected: Sequence[Arrays]) -> tuple[Figure, ...]:
    """For one output of class scores, how often the best class is the float model's."""
    arrays = list(expected[0].values())
    if len(arrays) != 1 or arrays[0].ndim != 2 or arrays[0].shape[-1] < 2:
        return ()
    same = [
        np.argmax(next(iter(a.values())), axis=-1) == np.argmax(next(iter(b.values())), axis=-1)
        for a, b in zip(found, expected, strict=True)
    ]
    value = 100 * float(np.mean(same))
    told = "Percent of samples whose best class is the float model's"
    return (Figure("top1_agreement_pct", told, None, value, None, len(expected)),)
