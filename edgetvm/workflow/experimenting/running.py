"""The whole of an experiment: what is missing is built and measured, and what is stored is told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import note
from edgetvm.base.words import plural
from edgetvm.estimate.played import played
from edgetvm.farm.governing import governed
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import Board
from edgetvm.farm.standing_boards import standing
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.goals import meeting, out_of_reach
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import (
    asked_key,
    document_of,
    last_asked,
    results_of,
)
from edgetvm.measure.experiment.rows import Results
from edgetvm.measure.store import Store
from edgetvm.workflow.experimenting.building import Ready, Work, build_all, estimate_all
from edgetvm.workflow.experimenting.candidates import Candidate, Resolved, Rival, Site, resolve
from edgetvm.workflow.experimenting.rivals import rivals_at_work
from edgetvm.workflow.experimenting.turns import measure_answers, sides_of, take_turns

# So many candidates are tried together where goals are searched for.
_BATCH = 4
# Levels in the order in which they are likely to be what is wanted.
_LEVELS = (3, 4, 2, "s", 1, 0)


def run_experiment(
    experiment: Experiment,
    store: Store | None = None,
    *,
    database: Path | None = None,
    wait_s: float = WAIT_S,
) -> Results:
    """Build and measure what is missing of an experiment, and tell all of it.

    Each part is noted when it is done; who was stopped goes on where he was. A variant that fails
    says why in its row, and the others go on. With goals, the likeliest candidates are tried first,
    and no more once enough of them meet all goals.

    Args:
        store: where results are kept; the user's own without it.
        database: of tuned schedules; likewise.
        wait_s: for a board of a farm that somebody else has.

    Raises:
        StorageError: results cannot be kept.
    """
    resolved = resolve(experiment, database)
    session = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    work = Work(experiment, Ledger(store or Store()), session)
    asked = resolved.asked
    work.ledger.note(asked_key(experiment.name), "asked", session, document_of(asked))
    for number, batch in enumerate(_batches(resolved)):
        if _lacks(work, [*batch, *_tried(resolved.rivals)]):
            _try(work, resolved, batch, number * experiment.measure.rounds, wait_s)
        results = results_of(work.ledger, asked)
        if experiment.goals is not None:
            found = meeting(results)
            if len(found) >= experiment.goals.enough:
                note(f"{plural(len(found), 'variant')} met all goals: no more are tried")
                break
    return results_of(work.ledger, asked)


def stored_experiment(name: str, store: Store | None = None) -> Results:
    """An experiment as it was last run, out of what is stored; nothing is built or measured.

    Raises:
        NotFoundError: it was never run with this store.
        ConfigurationError: a measurement is damaged.
    """
    ledger = Ledger(store or Store())
    return results_of(ledger, last_asked(ledger, name))


def _batches(resolved: Resolved) -> Iterator[Sequence[Candidate]]:
    """All at once; with goals a few at a time, the likeliest first, the baseline in each."""
    experiment = resolved.asked.experiment
    unique = list({one.slot.key: one for one in resolved.candidates}.values())
    if experiment.goals is None:
        yield unique
        return
    base = [one for one in unique if one.variant == experiment.baseline]
    others = sorted((one for one in unique if one not in base), key=_unlikeliness)
    for start in range(0, max(1, len(others)), _BATCH):
        yield [*base, *others[start : start + _BATCH]]


def _lacks(work: Work, some: Sequence[Candidate | Rival]) -> bool:
    return any(work.lacks(one.slot) for one in some)


def _tried(rivals: Sequence[Rival]) -> list[Rival]:
    return [one for one in rivals if not one.slot.why]


def _unlikeliness(candidate: Candidate) -> tuple[int, ...]:
    """Before anything is known of it: default levels, tuned, free layouts and wide vectors win."""
    variant = candidate.variant
    return (
        _LEVELS.index(variant.opt_level),
        not variant.tuned,
        variant.layout != "auto",
        -candidate.where.profile.vector_lanes,
        -variant.threads,
    )


def _try(
    work: Work,
    resolved: Resolved,
    batch: Sequence[Candidate],
    first_turn: int,
    wait_s: float,
) -> None:
    ready = build_all(work, batch)
    estimate_all(work, ready)
    for mine in _by_board(_in_reach(work, resolved, ready)):
        beside, site = _rivals(resolved, mine), mine[0].where.site
        if not _lacks(work, [*(one.candidate for one in mine), *beside]):
            continue
        slots = [*(one.slot for one in mine), *(one.slot for one in beside)]
        if site in work.gone:
            work.left(slots, work.gone[site])
            continue
        try:
            with _standing(mine[0], wait_s, f"experiment {work.experiment.name}") as board:
                _measure(work, board, mine, beside, resolved, first_turn)
        except EdgetvmError as error:
            work.gone[site] = error
            work.left(slots, error)


@contextmanager
def _standing(ready: Ready, wait_s: float, purpose: str) -> Iterator[Board]:
    """The board of a candidate, or the one that QEMU plays."""
    board = ready.where.board
    if board is None:
        with played(ready.where.profile) as up:
            yield up
    else:
        with standing(board, wait_s, purpose) as up, governed([up]):
            yield up


def _measure(
    work: Work,
    board: Board,
    ready: Sequence[Ready],
    rivals: Sequence[Rival],
    resolved: Resolved,
    first_turn: int,
) -> None:
    """On a board that stands: the data, then turns where times count."""
    left = _in_reach(work, resolved, measure_answers(work, board, ready))
    real = [one for one in left if one.slot.is_real]
    if not real:
        return
    with rivals_at_work(work, rivals, real) as beside:
        sides = [*sides_of(work, board, real, beside), *beside]
        if sides:
            take_turns(work, board, sides, first_turn)


def _rivals(resolved: Resolved, ready: Sequence[Ready]) -> list[Rival]:
    """The peers that run beside some variants."""
    board = ready[0].where.board
    shares = board is not None and board.shares_cores
    return _tried(resolved.rivals) if shares else []


def _in_reach(work: Work, resolved: Resolved, ready: Sequence[Ready]) -> list[Ready]:
    """Without those whose package, answers or memory miss a goal; the baseline always."""
    if work.experiment.goals is None:
        return list(ready)
    results = results_of(work.ledger, resolved.asked)
    rows = {row.variant: row for row in results.rows if not row.peer}
    return [
        one
        for one in ready
        if one.slot.variant == work.experiment.baseline
        or not out_of_reach(results, rows[one.slot.variant])
    ]


def _by_board(ready: Sequence[Ready]) -> list[list[Ready]]:
    found: dict[Site, list[Ready]] = {}
    for one in ready:
        if one.where.board_name:
            found.setdefault(one.where.site, []).append(one)
    return list(found.values())
