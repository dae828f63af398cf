"""Answers in words to an experiment's questions, made of the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural
from edgetvm.measure.experiment.file import Question
from edgetvm.measure.experiment.rows import Results, Row, ratio
from edgetvm.measure.experiment.variants import AXES, Place, placed, told_value


@dataclass(frozen=True)
class Answer:
    """A question with its answer.

    Attributes:
        question: as the reader asks it.
        sentences: of the answer.
    """

    question: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Side:
    """One of the two things that are compared, and what it is called."""

    row: Row
    name: str


def answers(results: Results) -> tuple[Answer, ...]:
    """Of all questions; where the file has none, of each value beside the baseline's."""
    asked = results.experiment.questions or _questions(results)
    return tuple(_answer(results, one) for one in asked)


def _questions(results: Results) -> tuple[Question, ...]:
    """What each variant brings that differs from the baseline on one axis only."""
    base = results.baseline.variant
    found = []
    for variant in results.experiment.variants:
        axes = [axis for axis in AXES if getattr(variant, axis) != getattr(base, axis)]
        if len(axes) == 1:
            words = [told_value(axes[0], getattr(one, axes[0])) for one in (variant, base)]
            first, second = (Place(**{axes[0]: getattr(one, axes[0])}) for one in (base, variant))
            found.append(Question(f"What does {words[0]} bring, beside {words[1]}?", first, second))
    return tuple(found)


def _answer(results: Results, question: Question) -> Answer:
    sides = _sides(results, question)
    if sides is None:
        return Answer(question.ask, ("It cannot be told: one of both is not there.",))
    sentences = [
        f"It cannot be told: {side.name} {_told_state(side.row)}."
        for side in sides
        if side.row.state in ("failed", "left out")
    ]
    if not sentences:
        sentences = [
            *_times(results, *sides),
            *_accuracy(results, *sides),
            *_sizes(*sides),
            *_remarks(*sides),
        ]
    return Answer(question.ask, tuple(sentences))


def _sides(results: Results, question: Question) -> tuple[_Side, _Side] | None:
    """Both, each called by what it has and the other has not."""
    base = results.experiment.baseline
    places = [placed(base, question.at, place) for place in (question.first, question.second)]
    rows = [results.row(variant, peer) for variant, peer in places]
    variants = [variant for variant, _ in places]
    axes = [axis for axis in AXES if getattr(variants[0], axis) != getattr(variants[1], axis)]
    first, second = rows
    if first is None or second is None:
        return None
    return _Side(first, _name(first, axes)), _Side(second, _name(second, axes))


def _name(row: Row, axes: Sequence[str]) -> str:
    words = [row.peer] if row.peer else []
    words += [row.variant.told(axes)] if axes else []
    return ", ".join(words) or "edgetvm"


def _told_state(row: Row) -> str:
    return f"failed ({row.why})" if row.failed else f"was left out ({row.why})"


def _times(results: Results, first: _Side, second: _Side) -> list[str]:
    found = ratio(second.row, first.row, results.baseline)
    if found is not None:
        pair = (
            f"{second.name} takes {format_ms(second.row.p50_ms or 0)}, {first.name} "
            f"{format_ms(first.row.p50_ms or 0)}"
        )
        over = f"over {plural(found.rounds, 'round')}" if found.rounds else "beside the baseline"
        span = f"{found.least:.3g} to {found.most:.3g} times as long {over}"
        if not found.is_told:
            return [f"{pair}: no difference is shown ({span})."]
        if found.middle < 1:
            times = f"{1 / found.middle:.3g} times as fast"
            span = f"{1 / found.most:.3g} to {1 / found.least:.3g} {over}"
            return [f"{pair}: {second.name} is {times} ({span})."]
        return [f"{pair}: {second.name} takes {found.middle:.3g} times as long ({span})."]
    if first.row.estimated is not None and second.row.estimated is not None:
        ours, theirs = second.row.estimated, first.row.estimated
        return [
            f"Estimated, not measured: {second.name} {format_ms(ours.ms)}, {first.name} "
            f"{format_ms(theirs.ms)}."
        ]
    return ["Their times cannot be compared: they were not measured on one board."]


def _accuracy(results: Results, first: _Side, second: _Side) -> list[str]:
    name = results.accuracy
    values = [side.row.metrics.get(name) for side in (first, second)]
    if values[0] is None or values[1] is None:
        return []
    if values[0] == values[1]:
        return [f"{name} is {values[0]:.4g} for both."]
    return [f"{name} is {values[1]:.4g} with {second.name}, {values[0]:.4g} with {first.name}."]


def _sizes(first: _Side, second: _Side) -> list[str]:
    before, after = first.row.size_bytes, second.row.size_bytes
    if not before or not after:
        return []
    told = [format_bytes(one) for one in (before, after)]
    if told[0] == told[1]:
        return [f"What is deployed has {told[1]} for both."]
    return [f"What is deployed has {told[1]} instead of {told[0]} ({after / before:.2f} times)."]


def _remarks(first: _Side, second: _Side) -> list[str]:
    """What the compiler says of one only."""
    found = []
    for mine, other in ((second, first), (first, second)):
        own = [one for one in mine.row.remarks if one not in other.row.remarks]
        found += [f"The compiler says of {mine.name}: {one}." for one in own]
    return found
