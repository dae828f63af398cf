"""The report as one HTML file that loads nothing: for a browser, a mail or an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_ms
from edgetvm.measure.measurement import Measurement
from edgetvm.report import charts
from edgetvm.report.across import board_rows, matrix_of, tradeoffs
from edgetvm.report.background import NO_BACKGROUND, Background, TuningCurve
from edgetvm.report.layers import LAYER_HOW
from edgetvm.report.measured import DETAILS, Detail, section_of
from edgetvm.report.page import render
from edgetvm.report.peers import PEER_HEAD, PEER_HOW
from edgetvm.report.results import Result, by_model, results
from edgetvm.report.verdict import verdicts
from edgetvm.report.words import shown

# A page small enough for a mail tells of each measurement as much as fits.
_MOST_BYTES = 495_000
_SCENARIOS = {
    "single-stream": "the same input, back to back",
    "multi-stream": "queries of 8 runs of the same input, back to back",
    "offline": "the same input, back to back",
    "server": "the same input, queries at random as to a server, waiting included",
    "cold-start": "the package opened anew each time, and its first run",
    "stream": "chunks of a signal, back to back, the state carried",
    "real-time": "service times of chunks at the pace of their signal, the state carried",
}


@dataclass(frozen=True)
class TuningSection:
    """A tuning curve as the template reads it."""

    curve: TuningCurve
    drawing: str


def _tuning(curve: TuningCurve) -> TuningSection:
    ends = f"from {format_ms(curve.default_ms)} to {format_ms(curve.best_ms)}"
    title = f"Latency of the kernels over minutes of tuning, {ends}"
    return TuningSection(curve, charts.descent(curve.points, title, "minutes of tuning", "ms"))


def _page(found: Sequence[Result], title: str, background: Background, detail: Detail) -> str:
    usual = {one.measurement.environment.device: one.measurement.environment for one in found[::-1]}
    sections = [
        section_of(
            f"m{number}", result, usual[result.measurement.environment.device], background, detail
        )
        for number, result in enumerate(found, start=1)
    ]
    of_result = {id(section.result): section for section in sections}
    groups = [[of_result[id(result)] for result in group] for group in by_model(found)]
    times = sorted(shown(result.measurement.taken_at) for result in found)
    return render(
        "report.html.j2",
        title=shown(title, 200),
        taken=list(dict.fromkeys([times[0], times[-1]])),
        models=list(zip(verdicts(found), groups, strict=True)),
        real=[section for section in sections if not section.result.emulated],
        emulated=[section for section in sections if section.result.emulated],
        matrix=matrix_of(found),
        tradeoffs=tradeoffs(found),
        boards=board_rows(found, background.boards),
        tuning=[_tuning(curve) for curve in background.tuning if curve.points],
        most_rows=detail.rows,
        is_full=detail.is_full,
        told_scenarios=_SCENARIOS,
        layer_how=LAYER_HOW,
        peer_head=PEER_HEAD,
        peer_how=PEER_HOW,
    )


def render_html(
    measurements: Sequence[Measurement],
    background: Background = NO_BACKGROUND,
    title: str = "edgetvm report",
) -> str:
    """Verdicts, summary and one section for each model, as one self-contained page.

    Raises:
        UsageError: no measurements.
    """
    found = results(measurements)
    page = ""
    for detail in DETAILS:
        page = _page(found, title, background, detail)
        if len(page.encode()) < _MOST_BYTES:
            break
    return page
