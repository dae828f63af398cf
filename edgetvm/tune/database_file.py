"""The file of tuning records: SQLite, opened, made and kept from harm."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from edgetvm.base.errors import ConfigurationError, StorageError
from edgetvm.base.files import storage_errors

FORMAT = 3
_BUSY_TIMEOUT_S = 60.0
# Of `Conditions.key`: in trials, runs, verdicts and layouts.
SAME_COLUMNS = "profile, level, cores, estimated"
SAME = "profile = ? AND level = ? AND cores = ? AND estimated = ?"

_SCHEMA = """
CREATE TABLE workloads (
    key TEXT PRIMARY KEY, description TEXT NOT NULL, form TEXT NOT NULL, kernel BLOB NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, what TEXT NOT NULL, profile TEXT NOT NULL, level INTEGER NOT NULL,
    cores INTEGER NOT NULL, estimated INTEGER NOT NULL, budget TEXT NOT NULL,
    began_at REAL NOT NULL, spent_s REAL NOT NULL DEFAULT 0, finished_at REAL);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY, run INTEGER REFERENCES runs(id),
    profile TEXT NOT NULL, architecture TEXT NOT NULL, level INTEGER NOT NULL,
    cores INTEGER NOT NULL, estimated INTEGER NOT NULL, task TEXT NOT NULL,
    workload TEXT NOT NULL, rule TEXT NOT NULL, decisions TEXT NOT NULL, trace TEXT,
    operators TEXT NOT NULL, outcome TEXT NOT NULL, times_ms TEXT NOT NULL,
    default_ms REAL NOT NULL, error TEXT NOT NULL, board TEXT NOT NULL,
    environment TEXT NOT NULL, measured_at REAL NOT NULL);
CREATE INDEX trials_of_a_task ON trials (profile, level, task);
CREATE INDEX trials_of_a_run ON trials (run);
CREATE TABLE verdicts (
    profile TEXT NOT NULL, level INTEGER NOT NULL, cores INTEGER NOT NULL,
    estimated INTEGER NOT NULL, task TEXT NOT NULL, trial INTEGER, gain REAL NOT NULL,
    through INTEGER NOT NULL, decided_at REAL NOT NULL,
    PRIMARY KEY (profile, level, cores, estimated, task));
CREATE TABLE layouts (
    profile TEXT NOT NULL, level INTEGER NOT NULL, cores INTEGER NOT NULL,
    estimated INTEGER NOT NULL, model TEXT NOT NULL, layout TEXT NOT NULL, gain REAL NOT NULL,
    decided_at REAL NOT NULL,
    PRIMARY KEY (profile, level, cores, estimated, model));
"""


class DatabaseFile:
    """A connection with the file.

    Every method raises:
        StorageError: the file cannot be read or written.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        """Open or make a database.

        Raises:
            StorageError: there is none though it must exist, or it cannot be made.
            ConfigurationError: the file is none, or of a newer edgetvm.
        """
        if must_exist and not path.exists():
            raise StorageError(
                "no such tuning database", where=str(path), mend="tune first: edgetvm tune"
            )
        if path.is_dir():
            raise StorageError(
                "a tuning database is a file, not a folder",
                where=str(path),
                mend="MetaSchedule's records: edgetvm records import FOLDER",
            )
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._connection = sqlite3.connect(
                _uri(path, must_exist),
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        if self._format == 0:
            execute("BEGIN IMMEDIATE")
            try:
                self._make()
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise
            execute("COMMIT")
        if self._format != FORMAT:
            raise ConfigurationError(
                f"this tuning database has format {self._format}, and this edgetvm reads {FORMAT}",
                where=str(self.path),
                mend="use the edgetvm that wrote it, or another file",
            )
        # Written ahead and synced at each commit: a kill or a power cut loses no trial.
        execute("PRAGMA synchronous = FULL")
        self._write_ahead()

    @property
    def _format(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _make(self) -> None:
        """All tables and the format at once, unless another process was quicker."""
        if self._format != 0:
            return
        if self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() != (0,):
            raise ConfigurationError(
                "it is no tuning database: another program's tables are in it",
                where=str(self.path),
                mend="choose another file",
            )
        for statement in _SCHEMA.split(";"):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _write_ahead(self) -> None:
        """Turn it on; SQLite does not wait by itself while another process does the same."""
        until_s = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "readonly" in str(error):
                    return
                if "locked" not in str(error) or time.monotonic() > until_s:
                    raise
                time.sleep(0.01)
            else:
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error) or "malformed" in str(error):
                raise ConfigurationError(
                    f"it is no tuning database: {error}",
                    where=str(self.path),
                    mend="choose another file",
                ) from error
            raise StorageError(
                f"the tuning database cannot be used: {error}",
                where=str(self.path),
                mend="see who uses it, that its folder can be written, and that there is space",
            ) from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _uri(path: Path, must_exist: bool) -> str:
    """The file for SQLite; as one that nobody changes where it lies read-only and is only read."""
    name = path.absolute().as_uri()
    fixed = must_exist and not os.access(path.parent, os.W_OK, effective_ids=True)
    return f"{name}?immutable=1" if fixed else name
