"""An experiment as one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.measure.experiment.goals import ranked
from edgetvm.measure.experiment.rows import Results, Row
from edgetvm.report import charts
from edgetvm.report.experiment.told import HEAD, HOW, Told, names_told
from edgetvm.report.page import render
from edgetvm.report.words import shown

# A matrix of more classes is in the JSON report only, and so are more matrices.
_MOST_CLASSES, _MOST_MATRICES = 40, 8


@dataclass(frozen=True)
class Matrix:
    """A confusion of classes: the drawing, and all that answer so."""

    drawing: str
    names: str


def render_experiment_html(results: Results) -> str:
    """Verdicts, answers, the front, all rows, confusions and remarks, as one page."""
    told = Told(results)
    return render(
        "experiment.html.j2",
        title=shown(results.experiment.name, 200),
        description=results.experiment.description,
        told=told,
        head=HEAD,
        how=HOW,
        sizes=_front(told, "Time and size"),
        accuracies=_front(told, "Time and accuracy", results.accuracy),
        matrices=_matrices(told),
        names_told=names_told,
    )


def _shown_in_front(told: Told, accuracy: str) -> list[Row]:
    """Of the baseline's board, with right answers, and with what is drawn."""
    board = told.results.baseline.board
    return [
        row
        for row in ranked(told.results)
        if row.is_right
        and row.board == board
        and (row.metrics.get(accuracy) is not None if accuracy else row.size_bytes is not None)
    ]


def _front(told: Told, title: str, accuracy: str = "") -> str:
    """Each variant by its time and size, or by its time and accuracy; empty where none differs."""
    spots = [_spot(told, row, accuracy) for row in _shown_in_front(told, accuracy)]
    if len({spot.y for spot in spots}) < 2:
        return ""
    return charts.scatter(
        spots,
        f"{title}: {names_told([spot.told for spot in spots], 12)}",
        "ms",
        accuracy or "kB",
        charts.pareto_front(spots, more_is_better=bool(accuracy)),
    )


def _spot(told: Told, row: Row, accuracy: str) -> charts.Spot:
    size_bytes, name = row.size_bytes or 0, told.name(row)
    time_ms = row.p50_ms or 0.0
    words = f"{name}: {format_ms(time_ms)}, {format_bytes(size_bytes)}"
    if accuracy:
        words += f", {accuracy} {row.metrics[accuracy]:.4g}"
    return charts.Spot(
        x=time_ms,
        y=row.metrics[accuracy] if accuracy else size_bytes / 1024,
        size=float(size_bytes) if accuracy else None,
        label=name,
        told=words,
        group="peer" if row.peer else row.variant.model,
    )


def _matrices(told: Told) -> Sequence[Matrix]:
    return [
        Matrix(
            charts.confusion_matrix(
                confusion.classes, confusion.counts, f"Confusion of classes: {names_told(names)}"
            ),
            names_told(names, 12),
        )
        for confusion, names in told.confusions[:_MOST_MATRICES]
        if len(confusion.classes) <= _MOST_CLASSES
    ]
