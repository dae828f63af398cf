"""What a run in real time came to, figure by figure, for every kind of report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.real_time_figures import RealTimeFigures, Spread, figures_of
from edgetvm.measure.windows import Window, reasons
from edgetvm.report.results import results
from edgetvm.report.table import titled_table
from edgetvm.report.words import format_factor

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Line:
    """One figure: what it is called, what it is, and what it means."""

    name: str
    value: str
    meaning: str


def real_time_lines(run: RealTime, windows: Sequence[Window] = ()) -> list[Line]:
    """All that a run came to, gravest first.

    Args:
        windows: that it was taken in, where they can be invalid.
    """
    figures = figures_of(run)
    wrong = [*figures.invalid, *(reason for window in windows for reason in reasons(window))]
    told = f"INVALID: {'; '.join(wrong)}" if wrong else "VALID"
    return [
        Line("Verdict", told, "a run whose clock was late or whose board was busy does not count"),
        *_pace(run, figures),
        *_times(figures),
        *_words(figures),
        *_trust(run, figures),
    ]


def _pace(run: RealTime, figures: RealTimeFigures) -> Iterator[Line]:
    low, high = _percent(figures.miss_low_pct), _percent(figures.miss_high_pct)
    confidence = f"95 % confidence {low} to {high}"
    each = figures.chunks // run.streams
    yield Line(
        "Fed",
        f"{plural(run.streams, 'stream')}, {plural(each, 'chunk')} each, one every "
        f"{format_ms(run.period_ms)}",
        "streams are spread over the period",
    )
    yield Line(
        "Deadline",
        f"{figures.misses} of {figures.chunks - figures.dropped} missed "
        f"{format_ms(run.deadline_ms)} ({_percent(figures.miss_pct)}; {confidence})",
        "from a chunk's arrival to its result",
    )
    yield Line("Longest run of misses", f"{figures.longest_misses}", "in a row, of one stream")
    if run.policy == "skip":
        dropped = 100 * figures.dropped / figures.chunks
        told = f"{figures.dropped} of {figures.chunks} ({_percent(dropped)})"
        yield Line("Dropped", told, "the next one came before it could begin")
    if figures.unanswered:
        told = f"{figures.unanswered} of {figures.chunks}"
        yield Line("Unanswered", told, "not begun a second after the last arrived")


def _times(figures: RealTimeFigures) -> Iterator[Line]:
    if figures.latency is not None and figures.service is not None:
        yield Line("Latency", _spread(figures.latency), "from arrival to result, waiting included")
        yield Line("Service time", _spread(figures.service), "from begin to result")
    if figures.real_time_factor is not None:
        yield Line(
            "Real-time factor",
            f"{format_factor(figures.real_time_factor)} = {figures.compute_s:.4g} s / "
            f"{figures.signal_s:.4g} s",
            "computing / signal of one stream; below 1 keeps up",
        )
    if figures.jitter_ms is not None:
        yield Line(
            "Jitter",
            format_ms(figures.jitter_ms),
            "p99 of how far the time from result to result is from the period",
        )
    yield Line("Backlog", plural(figures.backlog, "chunk"), "of one stream without a result, most")


def _words(figures: RealTimeFigures) -> Iterator[Line]:
    if not figures.words:
        return
    yield Line("Words found", f"{figures.found} of {figures.words}", "labelled spans of the signal")
    for name, spread, meaning in (
        ("Word begun", figures.from_start, "from a word's start to the result that tells of it"),
        ("Word found", figures.from_end, "from a word's end to that result; below 0 is before it"),
        ("Word over", figures.over, "from a word's end to the result that tells it is over"),
    ):
        if spread is not None:
            told = f"p50 {format_ms(spread.p50_ms)}, max {format_ms(spread.max_ms)}"
            yield Line(name, told, meaning)


def _trust(run: RealTime, figures: RealTimeFigures) -> Iterator[Line]:
    if figures.wake_p99_ms is not None and figures.wake_max_ms is not None:
        yield Line(
            "Clock",
            f"p99 {format_ms(figures.wake_p99_ms)}, max {format_ms(figures.wake_max_ms)}",
            "how late chunks were begun that found the board idle",
        )
    if run.carried is not None:
        told = "as without a clock" if run.carried else "not as without a clock"
        yield Line("Answers", told, "of every stream, beside one run of the same chunks offline")


def _spread(spread: Spread) -> str:
    parts = ("p50", spread.p50_ms), ("p90", spread.p90_ms), ("p99", spread.p99_ms)
    return ", ".join(f"{name} {format_ms(one)}" for name, one in (*parts, ("max", spread.max_ms)))


def _percent(value: float) -> str:
    return f"{value:.3g} %"


def real_time_tables(measurements: Sequence[Measurement]) -> list[Table]:
    """A table for a terminal for each measurement in real time.

    Raises:
        UsageError: no measurements.
    """
    tables = []
    for result in results(measurements):
        run = result.measurement.real_time
        if run is None:
            continue
        title = f"{result.model} in real time on {result.device}, {result.setting}"
        table = titled_table(title, head=False)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        table.add_column(ratio=1, style="dim", overflow="fold")
        for line in real_time_lines(run, result.measurement.judged_windows):
            table.add_row(line.name, line.value, line.meaning)
        tables.append(table)
    return tables
