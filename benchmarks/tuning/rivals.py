"""Parts rate and parity: edgetvm's tuner and TVM's own, on the same model, each alone.

Stock is given a tracker and a server of its own on loopback; edgetvm starts its own. Databases are
copied while a search goes on; what a copy is worth is measured after, with nothing else running.
"""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tuning.figures import Part
from benchmarks.tuning.processes import edgetvm, kill_tree
from benchmarks.tuning.stock_tuner import NOTES
from edgetvm.farm import Address

_TICK_S = 0.5


@dataclass(frozen=True)
class Snapshot:
    """A database as it was so long after the command began."""

    at_s: float
    path: Path


@dataclass(frozen=True)
class Searched:
    """A search that was ended after its time.

    Attributes:
        began_at: when its command began, seconds since 1970.
        trials_at: when each trial was measured, likewise; those that gave a time.
        failed: trials that gave none.
        snapshots: of its database, the earliest first.
        took_s: the whole search.
    """

    began_at: float
    trials_at: tuple[float, ...]
    failed: int
    snapshots: tuple[Snapshot, ...]
    took_s: float

    @property
    def per_minute(self) -> float:
        """Trials from the beginning of the command to the last."""
        if not self.trials_at:
            return 0.0
        return 60 * len(self.trials_at) / (self.trials_at[-1] - self.began_at)


@dataclass(frozen=True)
class Board:
    """Where stock tunes: a server's tracker and key, its profile, and the threads of a kernel."""

    tracker: Address
    key: str
    profile: str
    threads: int


def search_stock(
    model: Path, board: Board, minutes: float, every_s: float, per_iteration: int, folder: Path
) -> Searched:
    """MetaSchedule on a model for so many minutes; its database copied every so often."""
    work = folder / "stock"
    work.mkdir()
    with (folder / "stock.log").open("wb") as said:
        command = [sys.executable, "-m", "benchmarks.tuning.stock_tuner", str(model), str(work)]
        command += [str(board.tracker), board.key, board.profile]
        command += [str(board.threads), str(per_iteration)]
        began_at = time.time()
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        snapshots = _until(process, 60 * minutes, every_s, lambda at: _copied(work, at))
    noted = work / NOTES
    lines = [json.loads(one) for one in noted.read_text().splitlines()] if noted.exists() else []
    ok = tuple(one["at"] for one in lines if one["ok"])
    return Searched(began_at, ok, len(lines) - len(ok), snapshots, 60 * minutes)


def search_ours(model: Path, minutes: float, every_s: float, folder: Path) -> Searched:
    """`edgetvm tune` on a model for so many minutes; its database copied every so often."""
    database = folder / "ours.sqlite"
    command = ["tune", str(model), "--database", str(database)]
    command += ["--time", f"{round(60 * minutes) + 3600}s"]
    began_at = time.time()
    return ended_after(edgetvm(command, folder / "ours.log"), began_at, minutes, every_s, database)


def ended_after(
    process: subprocess.Popen[bytes],
    began_at: float,
    minutes: float,
    every_s: float,
    database: Path,
) -> Searched:
    """A search of edgetvm's that is ended after so many minutes; its database copied likewise."""
    snapshots = _until(process, 60 * minutes, every_s, lambda at: _backed_up(database, at))
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("SELECT measured_at, outcome FROM trials ORDER BY id").fetchall()
    ok = tuple(at for at, outcome in rows if outcome == "ok")
    return Searched(began_at, ok, len(rows) - len(ok), snapshots, 60 * minutes)


def _until(
    process: subprocess.Popen[bytes],
    time_s: float,
    every_s: float,
    copied: Callable[[float], Path | None],
) -> tuple[Snapshot, ...]:
    """Let a search go on for its time, then end it; copies of its database, where it has one.

    Raises:
        RuntimeError: it ended by itself with an error.
    """
    began_s, found = time.monotonic(), list[Snapshot | None]()
    try:
        while (now_s := time.monotonic() - began_s) < time_s and process.poll() is None:
            time.sleep(_TICK_S)
            if now_s > every_s * (len(found) + 1):
                path = copied(now_s)
                found.append(Snapshot(now_s, path) if path is not None else None)
        code = process.poll()
    finally:
        kill_tree(process)
    if code:
        raise RuntimeError(f"the search ended by itself: exit code {code}")
    return tuple(one for one in found if one is not None)


def _copied(work: Path, at_s: float) -> Path | None:
    """MetaSchedule's database is two files of text; half a line at the end is what a reader of a
    running search would find too, and is left out."""
    records = work / "database_tuning_record.json"
    if not records.exists() or not records.stat().st_size:
        return None
    copy = work.parent / f"stock-{at_s:.0f}"
    copy.mkdir()
    for name in (records.name, "database_workload.json"):
        text = (work / name).read_text()
        (copy / name).write_text(text[: text.rfind("\n") + 1])
    return copy


def _backed_up(database: Path, at_s: float) -> Path | None:
    if not database.exists():
        return None
    copy = database.with_name(f"ours-{at_s:.0f}.sqlite")
    with closing(sqlite3.connect(database)) as mine, closing(sqlite3.connect(copy)) as other:
        mine.backup(other)
    return copy


def rate(model: str, ours: Searched, stock: Searched, key: str = "trials_per_minute_ratio") -> Part:
    """How many times as many trials a minute edgetvm makes; the key is the figure's."""
    raw = {"model": model, "ours": _told(ours), "stock": _told(stock)}
    ratio = ours.per_minute / stock.per_minute if stock.trials_at else math.inf
    return Part({key: ratio}, raw)


def _told(searched: Searched) -> dict[str, Any]:
    return {
        "per_minute": searched.per_minute,
        "trials_s": [at - searched.began_at for at in searched.trials_at],
        "failed": searched.failed,
        "took_s": searched.took_s,
    }
