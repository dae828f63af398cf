"""The one sentence about a model that a reader wants first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural
from edgetvm.report.results import Result, by_model
from edgetvm.report.words import format_error, format_factor, joined, shown, told_error


@dataclass(frozen=True)
class Verdict:
    """What came of one model.

    Attributes:
        state: `wrong` where any device answers wrongly; `attention` where it is late or unsteady,
            or where only an emulated device ran it.
        sentence: about the model, whose name it leaves out.
    """

    model: str
    state: Literal["good", "attention", "wrong"]
    sentence: str

    @property
    def mark(self) -> str:
        """The state as a sign and a word."""
        return {"good": "✓ good", "attention": "! attention", "wrong": "✗ wrong"}[self.state]


def _speed(best: Result, others: Sequence[Result]) -> str:
    summary = best.summary
    place = best.device + (f", the fastest of {len(others) + 1} measurements" if others else "")
    parts = [
        f"{format_ms(summary.p50_ms)} per {best.run} at p50 and {format_ms(summary.p99_ms)} at p99 "
        f"on {place}"
    ]
    if summary.real_time_factor is not None:
        stands = "falls behind" if summary.real_time_factor >= 1 else "keeps up with"
        factor = format_factor(summary.real_time_factor)
        parts.append(f"{stands} the signal (real-time factor {factor})")
    if best.invalid:
        parts.append("INVALID")
    if best.unsteady:
        parts.append("unsteady")
    parts.append(best.deadline)
    late = [other.device for other in others if other.late]
    if late:
        parts.append(f"too late on {joined(late)}")
    return ", ".join(parts)


def _answers(group: Sequence[Result]) -> str:
    wrong = [result for result in group if not result.right]
    if wrong:
        worst = wrong[0].measurement.correctness
        return (
            f"answers are wrong for {joined([result.device for result in wrong])} "
            f"(off by {told_error(worst)}, "
            f"{format_error(worst.tolerance)} allowed)"
        )
    worst = max(
        (result.measurement.correctness for result in group),
        key=lambda correctness: correctness.max_relative_error,
    )
    references = dict.fromkeys(shown(r.measurement.correctness.reference) for r in group)
    return f"answers agree with {joined(list(references))} to {told_error(worst)}"


def _size(group: Sequence[Result]) -> str:
    sizes = [result.measurement.package_size_bytes for result in group]
    small, large = format_bytes(min(sizes)), format_bytes(max(sizes))
    return f"package {small}" if small == large else f"packages {small} to {large}"


def _verdict(group: Sequence[Result]) -> Verdict:
    real = [result for result in group if not result.emulated]
    right = [result for result in real if result.right]
    if right:
        best = right[0]
        speed = _speed(best, right[1:])
        state: Literal["good", "attention"] = (
            "attention"
            if best.unsteady or best.invalid or any(result.late for result in right)
            else "good"
        )
    else:
        state = "attention"
        speed = (
            "no time counts until its answers are right"
            if real
            else f"no speed is known: it ran on {plural(len(group), 'emulated device')} only"
        )
    sentence = f"{speed}; {_answers(group)}; {_size(group)}."
    wrong = not all(result.right for result in group)
    return Verdict(group[0].model, "wrong" if wrong else state, sentence)


def verdicts(found: Sequence[Result]) -> list[Verdict]:
    """One verdict for each model, in the order of `found`."""
    return [_verdict(group) for group in by_model(found)]
