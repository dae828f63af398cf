"""All measurements together: models by boards, latency beside accuracy, the boards themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_bytes, format_duration, format_ms
from edgetvm.base.words import plural
from edgetvm.measure.windows import reasons
from edgetvm.recipes import METRICS
from edgetvm.report.background import BoardHealth
from edgetvm.report.charts import Spot, pareto_front, scatter
from edgetvm.report.conditions import looks_of
from edgetvm.report.results import Result
from edgetvm.report.words import NONE, format_figure, shown


@dataclass(frozen=True)
class Cell:
    """p50 of a model on a board.

    Attributes:
        p50_ms: of the fastest that answers rightly; None where there is none.
        is_best: of the model's row.
        doubts: whether something speaks against it.
    """

    p50_ms: float | None = None
    is_best: bool = False
    doubts: bool = False


@dataclass(frozen=True)
class Matrix:
    """Models by boards: a row of cells for each model."""

    boards: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def matrix_of(found: Sequence[Result]) -> Matrix | None:
    """Real boards only; None where there are not two of them and two models."""
    real = [one for one in found if not one.emulated]
    boards = sorted({one.measurement.environment.device for one in real})
    models = list(dict.fromkeys(one.model for one in real))
    if len(boards) < 2 or len(models) < 2:
        return None
    best: dict[tuple[str, str], Result] = {}
    for one in real:
        place = one.model, one.measurement.environment.device
        before = best.get(place)
        if one.right and (before is None or one.summary.p50_ms < before.summary.p50_ms):
            best[place] = one
    rows = tuple((model, _row([best.get((model, board)) for board in boards])) for model in models)
    return Matrix(tuple(shown(board) for board in boards), rows)


def _row(found: Sequence[Result | None]) -> tuple[Cell, ...]:
    known = [one.summary.p50_ms for one in found if one is not None]
    return tuple(
        Cell()
        if one is None
        else Cell(
            one.summary.p50_ms,
            len(known) > 1 and one.summary.p50_ms == min(known),
            bool(one.findings),
        )
        for one in found
    )


@dataclass(frozen=True)
class Tradeoff:
    """A metric that several measurements have, as a drawing."""

    metric: str
    drawing: str
    caption: str


def tradeoffs(found: Sequence[Result]) -> list[Tradeoff]:
    """Latency, score and size in one drawing for each score of several measurements.

    Of each measurement the first counts, which its recipe names first. What none beats in latency
    and score at once is joined by a line.
    """
    names = Counter(
        next(iter(one.measurement.metrics))
        for one in found
        if not one.emulated and one.measurement.metrics
    )
    scores = {name: METRICS.best(name) for name in METRICS.names()}
    wanted = [name for name, count in names.items() if count > 1 and scores.get(name) is not None]
    return [_tradeoff(found, name, scores[name] != 0.0) for name in wanted]


def _tradeoff(found: Sequence[Result], name: str, more_is_better: bool) -> Tradeoff:
    of = [one for one in found if not one.emulated and name in one.measurement.metrics]
    spots = [
        Spot(
            one.summary.p50_ms,
            one.measurement.metrics[name],
            float(one.measurement.package_size_bytes),
            one.model.rsplit("/", 1)[-1],
            f"{one.model} on {one.device}, {one.setting}: {format_ms(one.summary.p50_ms)}, "
            f"{name} {format_figure(one.measurement.metrics[name])}, "
            f"{format_bytes(one.measurement.package_size_bytes)}",
            shown(one.measurement.environment.device),
        )
        for one in of
    ]
    front = pareto_front(spots, more_is_better=more_is_better)
    sizes = [one.measurement.package_size_bytes for one in of]
    title = f"Latency and {name} of {plural(len(spots), 'measurement')}"
    caption = (
        f"p50 of each measurement beside its score; {'more' if more_is_better else 'less'} is "
        f"better. Areas: package files, from {format_bytes(min(sizes))} to "
        f"{format_bytes(max(sizes))}. The line joins what nothing beats in both."
    )
    drawn = scatter(spots, title, "p50, ms", shown(name), front)
    return Tradeoff(shown(name), drawn, caption)


@dataclass(frozen=True)
class BoardRow:
    """A board, as its measurements and the farm tell of it.

    Attributes:
        facts: profile, CPU and system.
        versions: of what made and ran the code there.
    """

    board: str
    is_emulated: bool
    facts: str
    versions: str
    state: str
    hottest: str
    windows: str
    why: str
    health: str


def board_rows(found: Sequence[Result], health: Sequence[BoardHealth]) -> list[BoardRow]:
    """A row for each board, in the order of the measurements."""
    by_board: dict[str, list[Result]] = {}
    for one in found:
        by_board.setdefault(one.measurement.environment.device, []).append(one)
    known = {one.board: one for one in health}
    return [_board_row(board, of, known.get(board)) for board, of in by_board.items()]


def _board_row(board: str, of: Sequence[Result], health: BoardHealth | None) -> BoardRow:
    place = of[0].measurement.environment
    looks = [look for one in of for look in looks_of(one.measurement)]
    heat = [look.temperature_c for look in looks if look.temperature_c is not None]
    windows = [window for one in of for window in one.measurement.judged_windows]
    why = Counter(reason.split(":")[0] for window in windows for reason in reasons(window))
    invalid = sum(bool(reasons(window)) for window in windows)
    return BoardRow(
        shown(board),
        place.emulated,
        f"{shown(place.profile)}: {shown(place.cpu)}, {plural(place.cores, 'core')}, "
        f"{shown(place.machine)}, Linux {shown(place.kernel)}",
        ", ".join(f"{shown(name)} {shown(one)}" for name, one in place.versions.items()),
        ", ".join(dict.fromkeys(shown(one.measurement.environment.governor or NONE) for one in of)),
        f"{max(heat):.1f} °C" if heat else NONE,
        f"{invalid} of {len(windows)}" if windows else NONE,
        ", ".join(f"{reason} ({count})" for reason, count in why.most_common(2)),
        NONE if health is None else _health(health),
    )


def _health(health: BoardHealth) -> str:
    proven = health.proven_age_s
    parts = [health.health + (f": {health.detail}" if health.detail else "")]
    parts.append("never proven" if proven is None else f"proven {format_duration(proven)} before")
    if health.temperature_c is not None:
        parts.append(f"{health.temperature_c:.0f} °C")
    if health.endings:
        parts.append(f"last leases: {', '.join(health.endings)}")
    return shown("; ".join(parts), 300)
