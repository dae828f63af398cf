"""Which variants meet an experiment's goals, in which order they stand, and which none beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.measure.experiment.file import GOAL_NAMES, Goals
from edgetvm.measure.experiment.rows import Ratio, Results, Row, of_state

# Rounds after which a variant that is beyond a goal in all of them has no more turns.
ENOUGH_ROUNDS = 3


@dataclass(frozen=True)
class Judged:
    """One goal, and how a variant stands to it.

    Attributes:
        goal: its key.
        limit: in words.
        value: in words; empty where it is not known.
        met: None where it is not known.
    """

    goal: str
    limit: str
    value: str = ""
    met: bool | None = None


def judged(results: Results, row: Row) -> tuple[Judged, ...]:
    """Every goal that is given."""
    goals = results.experiment.goals
    if goals is None:
        return ()
    given = [(name, getattr(goals, name)) for name in GOAL_NAMES]
    return tuple(_judge(name, limit, results, row) for name, limit in given if limit is not None)


def meets_all(results: Results, row: Row) -> bool:
    """Whether a variant was measured on a real board, is right, and meets every goal."""
    found = judged(results, row)
    counts = row.state == "measured" and row.is_right and not row.failed
    return counts and bool(found) and all(one.met for one in found)


def meeting(results: Results) -> list[Row]:
    """The variants that meet all goals."""
    return [row for row in results.rows if not row.peer and meets_all(results, row)]


def are_missed(results: Results) -> bool:
    """Whether there are goals, and no variant meets all of them."""
    return results.experiment.goals is not None and not meeting(results)


@dataclass(frozen=True)
class _Measure:
    """How a goal is measured: its value, and how limit and value are said."""

    value: Callable[[Results, Row], float | None]
    limit: Callable[[float], str]
    told: Callable[[float], str]
    at_least: bool = False


def _saved_pct(results: Results, row: Row) -> float | None:
    found = results.relative(row)
    return None if found is None else 100 * (1 - found.middle)


def _latency_ms(_results: Results, row: Row) -> float | None:
    return row.p50_ms if row.state == "measured" else None


def _package_kb(_results: Results, row: Row) -> float | None:
    return None if row.size_bytes is None else row.size_bytes / 1024


def _memory_kb(_results: Results, row: Row) -> float | None:
    known = row.state == "measured" and row.memory_bytes is not None
    return (row.memory_bytes or 0) / 1024 if known else None


_MEASURES = {
    "min_time_saved_pct": _Measure(
        _saved_pct,
        lambda limit: f"at least {limit:g}% less time than the baseline",
        lambda value: f"{abs(value):.1f}% {'less' if value >= 0 else 'more'}",
        at_least=True,
    ),
    "max_latency_ms": _Measure(
        _latency_ms, lambda limit: f"at most {format_ms(limit)} a run", format_ms
    ),
    "max_accuracy_lost_pct": _Measure(
        lambda results, row: results.lost_pct(row),
        lambda limit: f"at most {limit:g}% of accuracy lost",
        lambda value: f"{value:.2f}%",
    ),
    "max_package_kb": _Measure(
        _package_kb,
        lambda limit: f"a package of at most {format_bytes(1024 * limit)}",
        lambda value: format_bytes(1024 * value),
    ),
    "max_memory_kb": _Measure(
        _memory_kb,
        lambda limit: f"at most {format_bytes(1024 * limit)} of memory",
        lambda value: format_bytes(1024 * value),
    ),
}


def _judge(name: str, limit: float, results: Results, row: Row) -> Judged:
    measure = _MEASURES[name]
    value = measure.value(results, row)
    told = measure.limit(limit)
    if value is None:
        return Judged(name, told)
    met = value >= limit if measure.at_least else value <= limit
    return Judged(name, told, measure.told(value), met)


def out_of_reach(results: Results, row: Row) -> str:
    """Why a variant needs no turn at all: a goal that its package or answers miss. Else empty."""
    missed = [
        one
        for one in judged(results, row)
        if one.met is False and one.goal not in ("min_time_saved_pct", "max_latency_ms")
    ]
    return "; ".join(f"{one.value} where the goal is {one.limit}" for one in missed)


def too_slow(goals: Goals | None, ratio: Ratio | None, row: Row) -> bool:
    """Whether a variant has missed a goal of time in every one of enough rounds."""
    if goals is None or len(row.rounds) < ENOUGH_ROUNDS:
        return False
    most = None if goals.min_time_saved_pct is None else 1 - goals.min_time_saved_pct / 100
    if most is not None and ratio is not None and ratio.least > most:
        return True
    limit_ms = goals.max_latency_ms
    return limit_ms is not None and min(one.median_ms for one in row.rounds) > limit_ms


def ranked(results: Results) -> list[Row]:
    """What was measured on real boards, the best first.

    Variants that meet all goals come first, and those with wrong answers last; between them those
    that miss fewer goals. Of equals the faster one is better.
    """

    def place(row: Row) -> tuple[object, ...]:
        missed = sum(not one.met for one in judged(results, row))
        return not row.is_right, missed, row.p50_ms

    return sorted(of_state(results.rows, "measured"), key=place)


def front(results: Results) -> list[Row]:
    """The variants that none beats in time, size and accuracy at once; peers are not among them.

    Of what is measured on the baseline's board, with right answers.
    """
    rows = [
        row
        for row in of_state(results.rows, "measured")
        if row.is_right and not row.peer and row.board == results.baseline.board
    ]
    costs = [_costs(results, row) for row in rows]
    return [row for row, mine in zip(rows, costs, strict=True) if not _beaten(mine, costs)]


def _costs(results: Results, row: Row) -> tuple[float, ...]:
    lost = results.lost_pct(row)
    return row.p50_ms or 0.0, float(row.size_bytes or 0), 0.0 if lost is None else lost


def _beaten(mine: tuple[float, ...], others: Sequence[tuple[float, ...]]) -> bool:
    return any(
        other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in others
    )
