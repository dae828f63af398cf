"""What tuning came to as one HTML file that loads nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.units import format_duration, format_ms
from edgetvm.report import charts
from edgetvm.report.page import render
from edgetvm.report.words import shown
from edgetvm.report.write import check_format
from edgetvm.tune.history import History, TaskHistory

# Kernels in the table; the others take little time.
_MOST_ROWS = 60


@dataclass(frozen=True)
class Section:
    """One profile and level as the template reads it.

    Attributes:
        over_time, over_trials: SVG texts; empty where no default was measured.
    """

    anchor: str
    history: History
    over_time: str
    over_trials: str
    outcomes: str

    @property
    def rows(self) -> tuple[TaskHistory, ...]:
        """The kernels that are told."""
        return self.history.tasks[:_MOST_ROWS]

    @property
    def environments(self) -> list[tuple[str, str]]:
        """Boards, and what each last said of itself."""
        return [
            (
                shown(name),
                ", ".join(f"{_name(key)} {value}" for key, value in told.items() if value),
            )
            for name, told in sorted(self.history.boards.items())
        ]

    @property
    def began(self) -> str:
        """The first trial, in coordinated universal time."""
        return _moment(self.history.began_at)

    @property
    def ended(self) -> str:
        """The last one."""
        return _moment(self.history.ended_at)

    @property
    def spent(self) -> str:
        """Time spent tuning."""
        curve = self.history.curve
        return format_duration(curve[-1].elapsed_s if curve else 0.0)


def _name(key: str) -> str:
    return key.replace("_", " ")


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def _section(number: int, told: History) -> Section:
    points = told.curve
    return Section(
        f"t{number}",
        told,
        _curve([(one.elapsed_s / 60, one.kernels_ms) for one in points], "minutes of tuning"),
        _curve([(at + 1.0, one.kernels_ms) for at, one in enumerate(points)], "trials"),
        charts.bars(
            [charts.Bar(kind, float(count), str(count)) for kind, count in told.outcomes.items()],
            "Trials by outcome",
        ),
    )


def _curve(points: Sequence[tuple[float, float]], x_name: str) -> str:
    if not points or not points[0][1]:
        return ""
    ends = f"from {format_ms(points[0][1])} to {format_ms(points[-1][1])}"
    return charts.descent(points, f"Latency of the kernels over {x_name}, {ends}", x_name, "ms")


def check_page(path: Path) -> None:
    """Refuse a file that could not be written after hours of tuning.

    Raises:
        UsageError: its name does not end in .html, or its folder does not exist.
    """
    if path.suffix.lower() != ".html":
        raise UsageError(
            "it is written as an HTML page", where=str(path), mend="end its name in .html"
        )
    check_format(path)


def render_tuning(histories: Sequence[History], title: str = "edgetvm tuning") -> str:
    """One section for each profile and level, as one self-contained page.

    Raises:
        UsageError: no histories.
    """
    if not histories:
        raise UsageError("there are no trials to report", mend="tune first: edgetvm tune")
    sections = [_section(number, one) for number, one in enumerate(histories, start=1)]
    return render("tuning.html.j2", title=shown(title, 200), sections=sections)
