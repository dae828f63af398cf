"""Tuning records in SQLite: appended and synced one by one, shared between processes."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgetvm.base.errors import ConfigurationError, StorageError
from edgetvm.base.files import sha256_of, storage_errors
from edgetvm.base.paths import data_folder
from edgetvm.compile.options import Layout, OptLevel
from edgetvm.compile.tuned import KernelChoice, TunedSchedules
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.running import Tensor
from edgetvm.tune.space import candidate_of
from edgetvm.tune.tasks import Form

FORMAT = 2
# What a candidate must gain over the default to be taken before it was compared with it.
MARGIN = 0.97
_BUSY_TIMEOUT_S = 60.0

_SCHEMA = """
CREATE TABLE workloads (
    key TEXT PRIMARY KEY, description TEXT NOT NULL, form TEXT NOT NULL, kernel BLOB NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, what TEXT NOT NULL, profile TEXT NOT NULL, level INTEGER NOT NULL,
    budget TEXT NOT NULL, began_at REAL NOT NULL, spent_s REAL NOT NULL DEFAULT 0,
    finished_at REAL);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY, run INTEGER REFERENCES runs(id),
    profile TEXT NOT NULL, architecture TEXT NOT NULL, level INTEGER NOT NULL,
    estimated INTEGER NOT NULL, task TEXT NOT NULL, workload TEXT NOT NULL, rule TEXT NOT NULL,
    decisions TEXT NOT NULL, trace TEXT, operators TEXT NOT NULL, outcome TEXT NOT NULL,
    times_ms TEXT NOT NULL, default_ms REAL NOT NULL, error TEXT NOT NULL, board TEXT NOT NULL,
    environment TEXT NOT NULL, measured_at REAL NOT NULL);
CREATE INDEX trials_of_a_task ON trials (profile, level, task);
CREATE INDEX trials_of_a_run ON trials (run);
CREATE TABLE verdicts (
    profile TEXT NOT NULL, level INTEGER NOT NULL, estimated INTEGER NOT NULL, task TEXT NOT NULL,
    trial INTEGER, gain REAL NOT NULL, through INTEGER NOT NULL, decided_at REAL NOT NULL,
    PRIMARY KEY (profile, level, estimated, task));
CREATE TABLE layouts (
    profile TEXT NOT NULL, level INTEGER NOT NULL, estimated INTEGER NOT NULL, model TEXT NOT NULL,
    layout TEXT NOT NULL, gain REAL NOT NULL, decided_at REAL NOT NULL,
    PRIMARY KEY (profile, level, estimated, model));
"""
# Number of the winner or None for the default, its gain, and the last trial that was known.
Verdict = tuple[int | None, float, int]
_COLUMNS = (
    "task, workload, rule, decisions, trace, operators, outcome, times_ms, default_ms, error, "
    "board, environment"
)


def default_database() -> Path:
    """The user's own: `$XDG_DATA_HOME/edgetvm/tuning.sqlite`, for all boards and models."""
    return data_folder() / "tuning.sqlite"


class TuningDatabase:
    """Trials, and what was decided on them. Use with `with`.

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
        self._locks: int | None = None
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
            finally:
                if self._connection.in_transaction:
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

    def add_workload(self, form: Form, description: str) -> None:
        """Keep a kernel and how it may be scheduled.

        Args:
            form: the kernel.
            description: its operators with their shapes.
        """
        told = asdict(form)
        kernel = zlib.compress(told.pop("kernel").encode())
        with self._errors():
            self._connection.execute(
                "INSERT OR IGNORE INTO workloads VALUES (?, ?, ?, ?)",
                (form.workload, description, json.dumps(told), kernel),
            )

    def forms(self) -> dict[str, Form]:
        """How the kernels that were kept may be scheduled, by key; without their code."""
        with self._errors():
            rows = self._connection.execute("SELECT key, form FROM workloads").fetchall()
        return {key: _form(json.loads(told)) for key, told in rows}

    def kernel(self, key: str) -> str | None:
        """A kernel as TVM's JSON, if it was kept."""
        with self._errors():
            row = self._connection.execute(
                "SELECT kernel FROM workloads WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else zlib.decompress(row[0]).decode()

    def begin_run(self, what: str, conditions: Conditions, budget: str) -> int:
        """The number of a new run."""
        with self._errors():
            cursor = self._connection.execute(
                "INSERT INTO runs (what, profile, level, budget, began_at) VALUES (?, ?, ?, ?, ?)",
                (what, conditions.profile, conditions.level, budget, time.time()),
            )
        return int(cursor.lastrowid or 0)

    def unfinished_runs(self, what: str, conditions: Conditions) -> dict[int, str]:
        """The budgets of runs that did not end, by number, the latest first."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT id, budget FROM runs WHERE what = ? AND profile = ? AND level = ?"
                " AND finished_at IS NULL ORDER BY id DESC",
                (what, conditions.profile, conditions.level),
            ).fetchall()
        return {int(run): budget for run, budget in rows}

    def work_on(self, run: int) -> bool:
        """Keep other processes off a run; False where a living one works on it.

        The system lets go of it when this process ends, however it ends.
        """
        with storage_errors(self._locks_path):
            if self._locks is None:
                self._locks = os.open(
                    self._locks_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
                )
            try:
                fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, run)
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
        if not self.work_on(run):
            return True
        if self._locks is not None:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, run)
        return False

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

    def append(self, run: int | None, conditions: Conditions, trial: Trial) -> int:
        """Add a trial; it is on the disk when this returns. Answers with its number."""
        values = (
            run,
            conditions.profile,
            conditions.architecture,
            conditions.level,
            conditions.estimated,
            trial.task,
            trial.workload,
            trial.choice.rule,
            json.dumps(trial.choice.decisions, sort_keys=True),
            trial.choice.trace,
            json.dumps(trial.operators, sort_keys=True),
            trial.outcome,
            json.dumps(trial.times_ms),
            trial.default_ms,
            trial.error,
            trial.board,
            json.dumps(trial.environment, sort_keys=True),
            time.time(),
        )
        with self._errors():
            cursor = self._connection.execute(
                f"INSERT INTO trials (run, profile, architecture, level, estimated, {_COLUMNS},"  # noqa: S608
                f" measured_at) VALUES ({', '.join('?' * len(values))})",
                values,
            )
        return int(cursor.lastrowid or 0)

    def trials(self, conditions: Conditions, task: str | None = None) -> list[Trial]:
        """The same as `numbered`, without the numbers."""
        return [trial for _, trial in self.numbered(conditions, task)]

    def conditions(self, profile: str | None = None) -> list[Conditions]:
        """Under which trials were made; of one profile if named."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT DISTINCT profile, architecture, level, estimated FROM trials"
                " WHERE ? IS NULL OR profile = ? ORDER BY profile, level, estimated",
                (profile, profile),
            ).fetchall()
        return [Conditions(name, cores, level, bool(est)) for name, cores, level, est in rows]

    def measured_at(self, conditions: Conditions) -> dict[int, float]:
        """When the trials of a profile and level were measured, by number: seconds since 1970."""
        with self._errors():
            return dict(
                self._connection.execute(
                    "SELECT id, measured_at FROM trials"
                    " WHERE profile = ? AND level = ? AND estimated = ? ORDER BY id",
                    (conditions.profile, conditions.level, conditions.estimated),
                )
            )

    def descriptions(self) -> dict[str, str]:
        """What kernels compute, by key."""
        with self._errors():
            return dict(self._connection.execute("SELECT key, description FROM workloads"))

    def trials_of_architecture(self, conditions: Conditions) -> list[Trial]:
        """Trials of other profiles that have the same architecture."""
        values = [conditions.architecture, conditions.profile, conditions.estimated]
        which = "architecture = ? AND profile != ? AND estimated = ?"
        return [trial for _, trial in self._select(which, values)]

    def trials_in(self, run: int) -> int:
        """How many trials a run has made."""
        with self._errors():
            row = self._connection.execute(
                "SELECT COUNT(*) FROM trials WHERE run = ?", (run,)
            ).fetchone()
        return int(row[0])

    def _select(self, which: str, values: Iterable[object]) -> list[tuple[int, Trial]]:
        with self._errors():
            rows = self._connection.execute(
                f"SELECT id, {_COLUMNS} FROM trials WHERE {which} ORDER BY id",  # noqa: S608
                tuple(values),
            ).fetchall()
        return [(int(row[0]), _trial(row[1:])) for row in rows]

    def numbered(
        self, conditions: Conditions, task: str | None = None, after: int = 0
    ) -> list[tuple[int, Trial]]:
        """The trials of a profile and level with their numbers; of one task if named, and only
        those after a number."""
        which = "id > ? AND profile = ? AND level = ? AND estimated = ?"
        values: list[object] = [after, conditions.profile, conditions.level, conditions.estimated]
        if task is not None:
            which, values = f"{which} AND task = ?", [*values, task]
        return self._select(which, values)

    def since(self, time_s: float) -> list[tuple[str, int, float, str, str]]:
        """What boards have measured since then (seconds since 1970).

        Returns:
            for each board its name, how many trials, when the last was measured, the name of the
            last one's kernel, and its outcome.
        """
        with self._errors():
            # SQLite takes bare columns from the row of the maximum: its documentation, 2.5.
            return self._connection.execute(
                "SELECT board, COUNT(*), MAX(measured_at), task, outcome FROM trials"
                " WHERE measured_at >= ? GROUP BY board ORDER BY board",
                (time_s,),
            ).fetchall()

    def decide(
        self,
        conditions: Conditions,
        task: str,
        trial: int | None,
        gain: float,
        through: int | None = None,
    ) -> None:
        """Keep what a comparison with the default ended with.

        Args:
            conditions: of the comparison.
            task: its key.
            trial: number of the winner; None for the default.
            gain: latency of the default over the winner's, in that comparison.
            through: number of the last trial that was looked at; of the last there is without it.
        """
        with self._errors():
            self._connection.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?,"
                " COALESCE(?, (SELECT COALESCE(MAX(id), 0) FROM trials)), ?)",
                (*_where(conditions), task, trial, gain, through, time.time()),
            )

    def verdicts(self, conditions: Conditions) -> dict[str, Verdict]:
        """By task: the winner's number or None, its gain, and the last trial that was known."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT task, trial, gain, through FROM verdicts"
                " WHERE profile = ? AND level = ? AND estimated = ?",
                _where(conditions),
            ).fetchall()
        return {task: (trial, gain, through) for task, trial, gain, through in rows}

    def choose_layout(
        self, conditions: Conditions, model: str, layout: Layout, gain: float
    ) -> None:
        """Keep which layout a whole model is fastest in.

        Args:
            conditions: of the comparison.
            model: SHA-256 of its source.
            layout: the fastest; `auto` where none beats the compiler's own choice.
            gain: latency by the compiler's own choice over that.
        """
        with self._errors():
            self._connection.execute(
                "INSERT OR REPLACE INTO layouts VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_where(conditions), model, layout, gain, time.time()),
            )

    def layouts(self, conditions: Conditions) -> dict[str, Layout]:
        """The layouts that whole models are fastest in, by the SHA-256 of their sources."""
        with self._errors():
            return dict(
                self._connection.execute(
                    "SELECT model, layout FROM layouts"
                    " WHERE profile = ? AND level = ? AND estimated = ?",
                    _where(conditions),
                )
            )

    def schedules(self, conditions: Conditions) -> TunedSchedules:
        """What the compiler is to take: the best of each task, where it beats the default."""
        verdicts = self.verdicts(conditions)
        by_task: dict[str, list[tuple[int, Trial]]] = {}
        for number, trial in self.numbered(conditions):
            by_task.setdefault(trial.task, []).append((number, trial))
        best = [best_of(trials, verdicts.get(task)) for task, trials in by_task.items()]
        found = _joined(one for one in best if one is not None)
        layouts = self.layouts(conditions).items()
        return replace(found, layouts={key: one for key, one in layouts if one != "auto"})

    def close(self) -> None:
        """Close the file, and let go of its runs."""
        self._connection.close()
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None

    def __enter__(self) -> TuningDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def best_of(trials: Iterable[tuple[int, Trial]], verdict: Verdict | None) -> Trial | None:
    """The trial of a task to use; None for the default.

    A verdict counts until a later trial is faster than it by the margin.

    Args:
        trials: of the task, with their numbers.
        verdict: winner's number or None, gain, and the last trial that it knew.
    """
    winner, gain, through = verdict or (None, 1.0, 0)
    known = dict(trials)
    wrong = {candidate_of(one) for one in known.values() if one.outcome == "wrong result"}
    best = known.get(winner) if winner is not None else None
    limit = MARGIN / gain
    for number, trial in known.items():
        if number > through and trial.ratio < limit and candidate_of(trial) not in wrong:
            best, limit = trial, trial.ratio
    return best


def _where(conditions: Conditions) -> tuple[str, OptLevel, bool]:
    return conditions.profile, conditions.level, conditions.estimated


def _uri(path: Path, must_exist: bool) -> str:
    """The file for SQLite; as one that nobody changes where it lies read-only and is only read."""
    name = path.absolute().as_uri()
    fixed = must_exist and not os.access(path.parent, os.W_OK, effective_ids=True)
    return f"{name}?immutable=1" if fixed else name


def _joined(best: Iterable[Trial]) -> TunedSchedules:
    """Operators are decided once for all kernels that they end up in: by the largest gain."""
    kernels: dict[str, KernelChoice] = {}
    operators: dict[str, tuple[float, Mapping[str, str]]] = {}
    for trial in sorted(best, key=lambda one: one.ratio, reverse=True):
        kernels[trial.workload] = trial.choice
        for key, decisions in trial.operators.items():
            gain = trial.default_ms - trial.latency_ms
            if key not in operators or gain > operators[key][0]:
                operators[key] = gain, decisions
    return TunedSchedules(kernels, {key: decisions for key, (_, decisions) in operators.items()})


def digest(schedules: TunedSchedules) -> str:
    """Of all choices: what a package depends on."""
    return sha256_of(json.dumps(asdict(schedules), sort_keys=True).encode())


def _form(told: dict[str, Any]) -> Form:
    arguments = tuple(Tensor(tuple(one["shape"]), one["dtype"]) for one in told["arguments"])
    candidates = {name: tuple(one) for name, one in told["candidates"].items()}
    return Form(**{**told, "kernel": "", "arguments": arguments, "candidates": candidates})


def _trial(row: tuple[Any, ...]) -> Trial:
    task, workload, rule, decisions, trace, operators, outcome, times_ms, default_ms = row[:9]
    return Trial(
        task,
        workload,
        KernelChoice(rule, json.loads(decisions), trace),
        json.loads(operators),
        outcome,
        tuple(json.loads(times_ms)),
        default_ms,
        row[9],
        row[10],
        json.loads(row[11]),
    )
