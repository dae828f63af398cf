"""Tuning records in SQLite: appended and synced one by one, shared between processes."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgetvm.base.paths import data_folder
from edgetvm.compile.options import Layout
from edgetvm.compile.tuned import KernelChoice, TunedSchedules
from edgetvm.tune.choosing import Verdict, best_of, joined
from edgetvm.tune.database_file import SAME, SAME_COLUMNS
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.runs import Runs
from edgetvm.tune.tasks import Form

_COLUMNS = (
    "task, workload, rule, decisions, trace, operators, outcome, times_ms, default_ms, error, "
    "board, environment"
)


def default_database() -> Path:
    """The user's own: `$XDG_DATA_HOME/edgetvm/tuning.sqlite`, for all boards and models."""
    return data_folder() / "tuning.sqlite"


class TuningDatabase(Runs):
    """Trials, and what was decided on them. Use with `with`.

    Every method raises:
        StorageError: the file cannot be read or written.
    """

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

    def append(self, run: int | None, conditions: Conditions, trial: Trial) -> int:
        """Add a trial; it is on the disk when this returns. Answers with its number."""
        values = (
            run,
            *conditions.key,
            conditions.architecture,
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
                f"INSERT INTO trials (run, {SAME_COLUMNS}, architecture, {_COLUMNS},"  # noqa: S608
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
                "SELECT DISTINCT profile, architecture, level, cores, estimated FROM trials"
                " WHERE ? IS NULL OR profile = ? ORDER BY profile, level, cores, estimated",
                (profile, profile),
            ).fetchall()
        return [
            Conditions(name, architecture, level, cores, bool(estimated))
            for name, architecture, level, cores, estimated in rows
        ]

    def measured_at(self, conditions: Conditions) -> dict[int, float]:
        """When trials under these conditions were measured, by number: seconds since 1970."""
        with self._errors():
            return dict(
                self._connection.execute(
                    f"SELECT id, measured_at FROM trials WHERE {SAME} ORDER BY id",  # noqa: S608
                    conditions.key,
                )
            )

    def descriptions(self) -> dict[str, str]:
        """What kernels compute, by key."""
        with self._errors():
            return dict(self._connection.execute("SELECT key, description FROM workloads"))

    def trials_of_architecture(self, conditions: Conditions) -> list[Trial]:
        """Trials of the same architecture, on other profiles or another number of cores."""
        which = "architecture = ? AND estimated = ? AND (profile != ? OR cores != ?)"
        one = conditions
        values = (one.architecture, one.estimated, one.profile, one.cores)
        return [trial for _, trial in self._select(which, values)]

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
        """The trials under these conditions with their numbers; of one task if named, and only
        those after a number."""
        which = f"id > ? AND {SAME}"
        values: list[object] = [after, *conditions.key]
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
                " WHERE measured_at >= ? AND NOT estimated GROUP BY board ORDER BY board",
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
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?,"
                " COALESCE(?, (SELECT COALESCE(MAX(id), 0) FROM trials)), ?)",
                (*conditions.key, task, trial, gain, through, time.time()),
            )

    def verdicts(self, conditions: Conditions) -> dict[str, Verdict]:
        """By task: the winner's number or None, its gain, and the last trial that was known."""
        with self._errors():
            rows = self._connection.execute(
                f"SELECT task, trial, gain, through FROM verdicts WHERE {SAME}",  # noqa: S608
                conditions.key,
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
                "INSERT OR REPLACE INTO layouts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*conditions.key, model, layout, gain, time.time()),
            )

    def layouts(self, conditions: Conditions) -> dict[str, Layout]:
        """The layouts that whole models are fastest in, by the SHA-256 of their sources."""
        with self._errors():
            return dict(
                self._connection.execute(
                    f"SELECT model, layout FROM layouts WHERE {SAME}",  # noqa: S608
                    conditions.key,
                )
            )

    def schedules(self, conditions: Conditions) -> TunedSchedules:
        """What the compiler is to take: the best of each task, where it beats the default."""
        verdicts = self.verdicts(conditions)
        by_task: dict[str, list[tuple[int, Trial]]] = {}
        for number, trial in self.numbered(conditions):
            by_task.setdefault(trial.task, []).append((number, trial))
        best = [best_of(trials, verdicts.get(task)) for task, trials in by_task.items()]
        found = joined(one for one in best if one is not None)
        layouts = self.layouts(conditions).items()
        return replace(found, layouts={key: one for key, one in layouts if one != "auto"})


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
