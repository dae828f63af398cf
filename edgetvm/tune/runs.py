"""The runs of searches in the file of tuning records: what goes on, and who works on it."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path

from edgetvm.base.files import storage_errors
from edgetvm.tune.database_file import SAME, SAME_COLUMNS, DatabaseFile
from edgetvm.tune.records import Conditions

# <fcntl.h>'s `struct flock` on a 64-bit Linux: kind, whence, start, length, process.
_FLOCK = "hhqqi4x"


class Runs(DatabaseFile):
    """Runs, each kept from all others while a living process works on it."""

    _locks: int | None = None

    def begin_run(self, what: str, conditions: Conditions, budget: str) -> int:
        """The number of a new run."""
        with self._errors():
            cursor = self._connection.execute(
                f"INSERT INTO runs (what, {SAME_COLUMNS}, budget, began_at)"  # noqa: S608
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (what, *conditions.key, budget, time.time()),
            )
        return int(cursor.lastrowid or 0)

    def unfinished_runs(self, what: str, conditions: Conditions) -> dict[int, str]:
        """The budgets of runs that did not end, by number, the latest first."""
        with self._errors():
            rows = self._connection.execute(
                f"SELECT id, budget FROM runs WHERE what = ? AND {SAME}"  # noqa: S608
                " AND finished_at IS NULL ORDER BY id DESC",
                (what, *conditions.key),
            ).fetchall()
        return {int(run): budget for run, budget in rows}

    def work_on(self, run: int) -> bool:
        """Keep others off a run; False where somebody works on it, in this process or another.

        The system lets go of it when this process ends, however it ends.
        """
        with storage_errors(self._locks_path):
            locks = self._opened_locks()
            try:
                _lock(locks, fcntl.F_OFD_SETLK, run)
            except (BlockingIOError, PermissionError):
                return False
        return True

    def is_another_at_work(self, mine: int, conditions: Conditions) -> bool:
        """Whether a living process works on another run of the profile."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT id FROM runs WHERE profile = ? AND finished_at IS NULL AND id != ?",
                (conditions.profile, mine),
            ).fetchall()
        return any(self._is_held(int(run)) for (run,) in rows)

    def _is_held(self, run: int) -> bool:
        """By others. Only asked: whoever begins to work on it just now is not kept off."""
        with storage_errors(self._locks_path):
            return _lock(self._opened_locks(), fcntl.F_OFD_GETLK, run) != fcntl.F_UNLCK

    def _opened_locks(self) -> int:
        if self._locks is None:
            self._locks = os.open(self._locks_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self._locks

    @property
    def _locks_path(self) -> Path:
        """A byte of it stands for each run; it has no bytes, only locks."""
        return self.path.with_name(f"{self.path.name}-runs")

    def spend(self, run: int, seconds: float) -> None:
        """Say how much time a run has taken so far, all its beginnings together."""
        with self._errors():
            self._connection.execute("UPDATE runs SET spent_s = ? WHERE id = ?", (seconds, run))

    def spent_s(self, run: int) -> float:
        """How much time a run has taken so far."""
        with self._errors():
            row = self._connection.execute(
                "SELECT spent_s FROM runs WHERE id = ?", (run,)
            ).fetchone()
        return float(row[0])

    def finish_run(self, run: int) -> None:
        """Say that a run came to its end."""
        with self._errors():
            self._connection.execute(
                "UPDATE runs SET finished_at = ? WHERE id = ?", (time.time(), run)
            )

    def trials_in(self, run: int) -> int:
        """How many trials a run has made."""
        return sum(self.outcomes_in(run).values())

    def outcomes_in(self, run: int) -> dict[str, int]:
        """How often each outcome came among the trials of a run."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT outcome, COUNT(*) FROM trials WHERE run = ? GROUP BY outcome", (run,)
            ).fetchall()
        return {str(outcome): int(count) for outcome, count in rows}

    def close(self) -> None:
        """Close the file, and let go of its runs."""
        super().close()
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None


def _lock(locks: int, command: int, run: int) -> int:
    """Take a lock, or ask for the kind that others have (`F_UNLCK` for none).

    It is one of this open file: `lockf`'s are the process's, and go with any file it closes.

    Raises:
        BlockingIOError, PermissionError: another has it.
    """
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, run, 1, 0)
    return int(struct.unpack(_FLOCK, fcntl.fcntl(locks, command, wanted))[0])
