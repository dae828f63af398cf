"""Peers beside edgetvm, as rows for every kind of report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from edgetvm.base.units import format_ms
from edgetvm.measure.beside import Beside, PeerRun, times_as_long
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.statistics import percentile
from edgetvm.report.results import results
from edgetvm.report.table import titled_table
from edgetvm.report.words import NONE, format_error, shown

if TYPE_CHECKING:
    from rich.table import Table

PEER_HEAD = ("Runtime", "p50", "p90", "p99", "Times as long", "Error")
PEER_HOW = (
    "Each in a process of its own, in turns of 0.2 s on the same inputs and threads; of a peer's "
    "settings the fastest counts. Times as long: of the medians of each round, their median, least "
    "and most. Error: of the answers, beside their spread."
)
_LONGEST_WHY = 200


@dataclass(frozen=True)
class PeerRow:
    """Cells of one runtime; one that did not run has only `why`."""

    cells: tuple[str, ...]
    why: str = ""


def peer_rows(beside: Beside) -> list[PeerRow]:
    """edgetvm first, then the peers as they were asked for."""
    rows = [PeerRow((f"edgetvm, {beside.threads} thr", *_times(beside.rounds_ns), "1", NONE))]
    if not beside.rounds_ns:
        rows = []
    return rows + [_row(beside, peer) for peer in beside.peers]


def _row(beside: Beside, peer: PeerRun) -> PeerRow:
    told = " ".join(one for one in (peer.name, peer.version) if one)
    chosen = ", ".join(one for one in (peer.setting, peer.precision) if one)
    told += f" ({chosen})" if chosen else ""
    if peer.why:
        return PeerRow((shown(told),), shown(peer.why, _LONGEST_WHY))
    middle, least, most = times_as_long(beside, peer)
    ratio = f"{middle:.2f} ({least:.2f} to {most:.2f})"
    error = NONE if peer.error is None else format_error(peer.error)
    return PeerRow((shown(told), *_times(peer.rounds_ns), ratio, error))


def _times(rounds_ns: Sequence[Sequence[int]]) -> tuple[str, str, str]:
    ordered = sorted(one / 1e6 for one in chain.from_iterable(rounds_ns))
    p50, p90, p99 = (format_ms(percentile(ordered, part)) for part in (0.5, 0.9, 0.99))
    return p50, p90, p99


def peer_tables(measurements: Sequence[Measurement]) -> list[Table]:
    """A table for a terminal for each measurement beside peers.

    Raises:
        UsageError: no measurements.
    """
    tables = []
    for result in results(measurements):
        beside = result.measurement.beside
        if beside is None:
            continue
        title = f"{result.model} beside peers on {result.device}"
        table = titled_table(title, PEER_HOW)
        for index, name in enumerate(PEER_HEAD):
            table.add_column(name, justify="right" if index else "left", overflow="fold")
        for row in peer_rows(beside):
            table.add_row(*row.cells, *[NONE] * (len(PEER_HEAD) - len(row.cells)))
        tables.append(table)
    return tables


def peer_lines(measurements: Sequence[Measurement]) -> list[str]:
    """Why peers have no figures, each in a sentence.

    Raises:
        UsageError: no measurements.
    """
    return [
        f"{result.model}: {row.cells[0]}: {row.why}"
        for result in results(measurements)
        if result.measurement.beside is not None
        for row in peer_rows(result.measurement.beside)
        if row.why
    ]
