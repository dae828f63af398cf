"""What a gate says of one model on one board, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.measure.comparing import Comparison, Verdict

Outcome = Literal["pass", "regression", "inconclusive", "error"]

# The gravest that any model has is the gate's. These codes are the gate's own.
EXIT_CODES: dict[Outcome, int] = {"regression": 1, "error": 4, "inconclusive": 3, "pass": 0}
USAGE_CODE = 2


@dataclass(frozen=True)
class Judged:
    """One model at a gate.

    Attributes:
        model: as it was named.
        board: by its name.
        outcome: see `docs/how-to/compare.md`.
        why: in one sentence.
        comparisons: with the baseline: one, or two where the first was no pass; none where nothing
            could be compared.
        elapsed_s: that it took.
    """

    model: str
    board: str
    outcome: Outcome
    why: str
    comparisons: tuple[Comparison, ...] = ()
    elapsed_s: float = 0.0


def exit_code_of(judged: Sequence[Judged], is_written: bool = True) -> int:
    """Of the gravest outcome: a regression, then an error, then inconclusive.

    Args:
        is_written: whether the file that was asked for was; that it was not is an error, too.
    """
    outcomes: set[Outcome] = {one.outcome for one in judged}
    outcomes |= set() if is_written else {"error"}
    return next((code for outcome, code in EXIT_CODES.items() if outcome in outcomes), 0)


_WORDS: dict[Verdict, str] = {
    "pass": "not slower than allowed",
    "regression": "slower than allowed, and a second run confirms it",
    "inconclusive": "too noisy to tell, or a second run did not confirm it",
}


def told(outcome: Verdict, comparisons: Sequence[Comparison], max_regression: float) -> str:
    """Why, with the figures of the last comparison."""
    found = comparisons[-1]
    return (
        f"{_WORDS[outcome]}: {format_ms(found.first_ms)} before, {format_ms(found.second_ms)} now, "
        f"{change(found)}, {max_regression:.1%} allowed, p {found.p:.2g}, "
        f"{plural(len(comparisons), 'run')} of {found.processes} processes each"
    )


def change(found: Comparison) -> str:
    """`+3.1% (+2.0% to +4.5%)`: by how much the second is slower, and its interval."""
    middle, low, high = (f"{one - 1:+.1%}" for one in (found.ratio, found.low, found.high))
    return f"{middle} ({low} to {high})"
