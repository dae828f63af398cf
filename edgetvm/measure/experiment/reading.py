"""Results out of what is stored: nothing else is needed to make an experiment's report again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.base.words import plural
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.goals import meeting, out_of_reach, too_slow
from edgetvm.measure.experiment.ledger import Entry, Ledger
from edgetvm.measure.experiment.rows import Built, Estimated, Results, Round, Row, Scored
from edgetvm.measure.experiment.variants import Variant
from edgetvm.measure.statistics import summarise
from edgetvm.measure.store import Store


@dataclass(frozen=True)
class Slot:
    """Where the entries of a variant stand.

    Attributes:
        key: of its entries.
        board: that it runs on; empty where there is none.
        emulated: whether times there say nothing about a real board.
        estimated: whether its times are to be estimated.
        peer: name and version of another runtime; empty for edgetvm.
        why: it cannot be tried at all; empty where it can.
    """

    variant: Variant
    key: str
    board: str
    emulated: bool = False
    estimated: bool = False
    peer: str = ""
    why: str = ""

    @property
    def is_real(self) -> bool:
        """Whether its times count."""
        return bool(self.board) and not self.emulated


@dataclass(frozen=True)
class Asked:
    """An experiment as it was asked for.

    Attributes:
        accuracy: the metric that is the accuracy; empty where there is none.
        best: its value where all is right.
        slots: of all variants, the baseline first, then of peers.
    """

    experiment: Experiment
    accuracy: str
    best: float | None
    slots: tuple[Slot, ...]


_ASKED = TypeAdapter(Asked)
_BUILT = TypeAdapter(Built)
_ESTIMATED = TypeAdapter(Estimated)
_SCORED = TypeAdapter(Scored)


def asked_key(name: str) -> str:
    """Under which an experiment itself is noted."""
    return f"experiment {name}"


def document_of(record: Asked | Built | Estimated | Scored) -> dict[str, Any]:
    """A record as it is noted."""
    document: dict[str, Any] = TypeAdapter(type(record)).dump_python(record, mode="json")
    return document


def last_asked(ledger: Ledger, name: str) -> Asked:
    """The experiment of that name as it was last run.

    Raises:
        NotFoundError: it was never run.
        ConfigurationError: another version of edgetvm ran it, or what is stored is damaged.
    """
    document = ledger.last(asked_key(name), "asked")
    if document is None:
        raise NotFoundError(
            f"nothing is stored of the experiment {name!r}",
            mend="run it first, without --stored; or name its store with --store",
        )
    try:
        return _ASKED.validate_python(document)
    except ValidationError as error:
        raise ConfigurationError(
            f"what is stored of the experiment {name!r} cannot be read",
            mend="run it again, without --stored: what was measured is not lost",
        ) from error


def results_of(ledger: Ledger, asked: Asked) -> Results:
    """All that is stored of an experiment.

    Raises:
        ConfigurationError: a measurement is damaged.
    """
    rows = tuple(row_of(ledger, slot) for slot in asked.slots)
    results = Results(asked.experiment, rows, asked.accuracy, asked.best)
    return replace(results, rows=tuple(_with_reason(results, row) for row in rows))


def row_of(ledger: Ledger, slot: Slot) -> Row:
    """All that is stored of a variant."""
    row = Row(slot.variant, slot.board, slot.emulated, slot.peer, why=slot.why)
    if slot.why:
        return replace(row, failed=True)
    entries = ledger.entries(slot.key)
    documents = {one.part: one.document for one in entries}
    if "measured" in documents:
        measurement = ledger.store.load(documents["measured"]["measurement"])
        row = replace(row, measurement=measurement)
    # What failed once and was done later is no failure.
    failed = bool(entries) and entries[-1].part == "failed"
    lost = [one.document for one in entries if one.part == "lost"]
    return replace(
        row,
        built=_BUILT.validate_python(documents["built"]) if "built" in documents else None,
        estimated=(
            _ESTIMATED.validate_python(documents["estimated"]) if "estimated" in documents else None
        ),
        scored=_SCORED.validate_python(documents["scored"]) if "scored" in documents else None,
        rounds=tuple(_round(ledger.store, one) for one in entries if one.part == "round"),
        lost={one["setting"]: one["why"] for one in lost},
        failed=failed,
        why=documents["failed"]["why"] if failed else "",
    )


def _round(store: Store, entry: Entry) -> Round:
    samples_ns: Sequence[int] | None = entry.document.get("samples_ns")
    if samples_ns is None:
        median_ms = summarise(store.load(entry.document["measurement"])).p50_ms
    else:
        median_ms = float(np.median(samples_ns)) / 1e6
    return Round(entry.session, entry.turn, median_ms)


def _with_reason(results: Results, row: Row) -> Row:
    """A row that says why there is not more of it."""
    if row.why or row.peer:
        return row
    goals, rounds = results.experiment.goals, results.experiment.measure.rounds
    if len(row.rounds) < rounds and too_slow(goals, results.relative(row), row):
        return replace(row, why=f"it got {len(row.rounds)} turns: too slow for the goals")
    if row.rounds:
        return row
    if row.built is not None:
        why = out_of_reach(results, row)
        unmeasured = row.board and not row.emulated
        return replace(row, why=why or ("it had no turn yet" if unmeasured else ""))
    count = len(meeting(results))
    if goals is not None and count >= goals.enough:
        return replace(row, why=f"{plural(count, 'variant')} met all goals before it")
    return replace(row, why="it has not been tried yet")
