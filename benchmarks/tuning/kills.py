"""Part kills: `kill -9` of a whole tuning at random instants, on the same database.

The board is another process, as boards are, and outlives its host. Before each kill the trials that
are in the database, seen by another connection, and those that the search has said it measured are
noted. After it all of them must be there, unchanged, in a sound file. At last the compiler must be
given the schedules that a database gives which was never killed, and the command runs to its end.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.latency.rounds import say
from benchmarks.tuning.figures import Part
from benchmarks.tuning.processes import edgetvm, finished, kill_tree
from edgetvm.farm import LocalBoard
from edgetvm.tune import TuningDatabase
from edgetvm.tune.choosing import digest

_BOARD = "survivor"
_LOOK_S = 0.1
# More than the default kernels of a small model.
_WARM_TRIALS = 40
_TIMEOUT_S = 1200
_TOLD = re.compile(r"(\d+) trials?, ")
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """What is killed.

    Attributes:
        model: file that is tuned.
        kills: how often.
        reach: kills come within so many times as long as a new trial takes to come.
        trials: of one run of the command; whenever it comes to its end, the next one begins.
        seed: of the instants.
    """

    model: Path
    kills: int = 100
    reach: float = 1.6
    trials: int = 150
    seed: int = 1


@dataclass
class Seen:
    """What was measured for all that an onlooker knows.

    Attributes:
        rows: of the table of trials, by number.
        told: by number of a run, the most trials that it said it had made.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)

    def look(self, database: Path) -> None:
        """Read what is new, with a connection of its own; nothing where there is no table yet."""
        with suppress(sqlite3.OperationalError), closing(_opened(database)) as opened:
            after = max(self.rows, default=0)
            for row in opened.execute("SELECT * FROM trials WHERE id > ?", (after,)):
                self.rows[row[0]] = row

    def hear(self, run: int, said: str) -> None:
        """Note how many trials a run has last told of."""
        counts = [int(one) for one in _TOLD.findall(said)]
        self.told[run] = max([self.told.get(run, 0), *counts])


@dataclass(frozen=True)
class Found:
    """The database after a kill.

    Attributes:
        lost: trials that were seen, or told of, and are not there as they were.
        sound: whether SQLite finds nothing wrong.
        rows: trials in it.
    """

    lost: int
    sound: bool
    rows: int


def run(plan: Plan) -> Part:
    """All kills, and the command to its end."""
    chance = random.Random(plan.seed)  # noqa: S311 - instants
    with tempfile.TemporaryDirectory() as made, LocalBoard() as board:
        database, said = Path(made) / "trials.sqlite", Path(made) / "said.txt"
        inventory = Path(made) / "boards.yaml"
        entry = {"profile": "local", "tracker": str(board.tracker), "key": board.key}
        inventory.write_text(json.dumps({"boards": {_BOARD: entry}}))
        os.environ["EDGETVM_INVENTORY"] = str(inventory)
        command = ["tune", str(plan.model), "--database", str(database), "--device", _BOARD]
        command += ["--trials", str(plan.trials), "--builders", "1"]
        within_s = plan.reach * _next_trial_s(command, database, said)
        seen, kills = Seen(), list[dict[str, Any]]()
        while len(kills) < plan.kills:
            after_s = chance.uniform(0, within_s)
            processes = _killed(command, after_s, database, said, seen)
            found = checked(database, seen)
            if processes:
                say(f"kill {len(kills) + 1}, after {after_s:.1f} s: {found}")
                kills.append({"after_s": after_s, "processes": processes, **vars(found)})
        seen.look(database)
        same = same_choice(database, seen.rows, Path(made) / "unharmed.sqlite")
        last_run_s = finished(command, said, _TIMEOUT_S)
        end = checked(database, seen)
    raw = {
        "kills": kills,
        "trials": len(seen.rows),
        "same_choice": same,
        "last_run_s": last_run_s,
        "end": vars(end),
        "plan": {**vars(plan), "model": plan.model.name},
    }
    lost = sum(one["lost"] for one in kills) + end.lost
    if not (same and end.sound and all(one["sound"] for one in kills)):
        raise RuntimeError(f"the database is damaged, or chooses otherwise: {raw}")
    return Part({"kills": len(kills), "lost_trials": lost}, raw)


def _next_trial_s(command: list[str], database: Path, said: Path) -> float:
    """How long the command takes until it measures something new, once it has measured a little."""
    seen, took_s = Seen(), 0.0
    for new in (_WARM_TRIALS, 1):
        seen.look(database)
        before, began_s = len(seen.rows), time.monotonic()
        process = edgetvm(command, said)
        try:
            while len(seen.rows) < before + new and process.poll() is None:
                time.sleep(_LOOK_S)
                seen.look(database)
            took_s = time.monotonic() - began_s
        finally:
            kill_tree(process)
    return took_s


def _killed(command: list[str], after_s: float, database: Path, said: Path, seen: Seen) -> int:
    """Begin the command, look on, and kill it; how many died, 0 where it had come to its end."""
    process = edgetvm(command, said)
    try:
        until_s = time.monotonic() + after_s
        while time.monotonic() < until_s and process.poll() is None:
            time.sleep(min(_LOOK_S, max(0.0, until_s - time.monotonic())))
            seen.look(database)
        seen.hear(_last_run(database), said.read_text(errors="replace"))
        ended = process.poll() is not None
    finally:
        killed = kill_tree(process)
    if ended and process.returncode:
        raise RuntimeError(f"it ended by itself: {said.read_text(errors='replace')[-500:]}")
    return 0 if ended else killed


def checked(database: Path, seen: Seen) -> Found:
    """What is left of what was seen."""
    if not seen.rows and not database.exists():
        return Found(0, True, 0)
    # As edgetvm opens it: what SQLite has to repair is repaired now.
    with TuningDatabase(database):
        pass
    with closing(_opened(database)) as opened:
        sound = opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = {row[0]: row for row in opened.execute("SELECT * FROM trials")}
        counts = dict(opened.execute("SELECT run, COUNT(*) FROM trials GROUP BY run"))
    lost = sum(rows.get(number) != row for number, row in seen.rows.items())
    untold = sum(max(0, told - counts.get(run, 0)) for run, told in seen.told.items())
    return Found(max(lost, untold), sound, len(rows))


def same_choice(database: Path, rows: Mapping[int, Row], unharmed: Path) -> bool:
    """Whether the compiler is given the same schedules as by a database that was never killed."""
    with TuningDatabase(database) as killed, TuningDatabase(unharmed) as other:
        with closing(sqlite3.connect(unharmed)) as copy, copy:
            copy.execute("PRAGMA foreign_keys = OFF")
            marks = ", ".join("?" * len(next(iter(rows.values()))))
            copy.executemany(f"INSERT INTO trials VALUES ({marks})", rows.values())  # noqa: S608
            copy.execute("ATTACH ? AS killed", (str(database),))
            for table in ("verdicts", "layouts"):
                copy.execute(f"INSERT INTO {table} SELECT * FROM killed.{table}")  # noqa: S608
        return all(
            digest(killed.schedules(one)) == digest(other.schedules(one))
            for one in killed.conditions()
        )


def _last_run(database: Path) -> int:
    with suppress(sqlite3.OperationalError), closing(_opened(database)) as opened:
        return int(opened.execute("SELECT COALESCE(MAX(id), 0) FROM runs").fetchone()[0])
    return 0


def _opened(database: Path) -> sqlite3.Connection:
    """Read only: whoever looks must not make or mend the file."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
