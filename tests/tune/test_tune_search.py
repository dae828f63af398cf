"""Whole searches on the local board: stopped at any instant, continued, and what comes of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_models import write_product
from real_board import alive, imported, onnx_runtime, within
from real_command import COMMAND

from edgetvm.base.errors import BoardGoneError
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.compile.options import DEFAULTS
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm import LocalBoard
from edgetvm.package.executor import Executor
from edgetvm.tune import Budget, TuningDatabase, conditions_of, search, tune_model
from edgetvm.tune.building import BuildJob, Built, LocalBuilder
from edgetvm.tune.progress import Progress
from edgetvm.tune.records import Trial
from edgetvm.tune.tasks import Form, Task, tasks_of

pytestmark = pytest.mark.board

_TRIALS = 16
_PROFILE = load_profile("local")
_HERE = conditions_of(_PROFILE)


def tuning(model: Path, database: Path, *words: str) -> subprocess.Popen[bytes]:
    """`edgetvm tune`, on its own; so many trials without other words."""
    words = words or ("--trials", str(_TRIALS))
    return subprocess.Popen(
        [*COMMAND, "tune", str(model), "--database", str(database), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def count(database: Path) -> int:
    """Of trials, as another program reads it."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as looked:
            return int(looked.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Of a database."""
    # The board that other tests share may be up.
    before = left()
    yield tmp_path / "tuning.sqlite"
    assert within(5, lambda: all(one in before for one in left())), left()


def left() -> list[list[str]]:
    """Builders, runners and boards that this process has left."""
    found = [one.cmdline() for one in psutil.Process().children() if alive(one.pid)]
    rooms = ("edgetvm.base.worker", "edgetvm.farm.server", "edgetvm.farm.tracker")
    return [words for words in found if any(room in words for room in rooms)]


def test_a_tuning_that_is_killed_goes_on_and_ends_with_all_its_trials(
    tiny_onnx: Path, path: Path
) -> None:
    for number in (signal.SIGKILL, signal.SIGINT):
        before = count(path)
        process = tuning(tiny_onnx, path)
        assert within(60, lambda before=before: count(path) >= before + 2)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, number)
        assert process.wait(30) == (-9 if number == signal.SIGKILL else 130)
        assert within(5, lambda family=family: not any(alive(one.pid) for one in family))
    assert process.stderr is not None
    assert f"{count(path)} trials of this run are kept" in process.stderr.read().decode()
    last = tuning(tiny_onnx, path, "--trials", str(_TRIALS), "--json")
    told = json.loads(last.communicate(timeout=120)[0])
    assert last.returncode == 0 and sum(told["outcomes"].values()) == told["trials"]
    with TuningDatabase(path, must_exist=True) as database:
        trials = database.trials(_HERE)
        tried = [(one.workload, str(one.choice)) for one in trials if one.outcome == "ok"]
        assert database.trials_in(1) == len(trials) >= _TRIALS
        assert len(tried) == len(set(tried))
        assert trials[0].is_default
        tuned = compile_model(imported(tiny_onnx), _PROFILE, database.schedules(_HERE))
    inputs = {"image": np.random.default_rng(9).standard_normal((1, 3, 8, 8), np.float32)}
    found = Executor(tuned.library, tuned.signature).run(inputs)["scores"]
    expected = onnx_runtime(tiny_onnx, inputs)["scores"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_two_boards_share_the_trials(tiny_onnx: Path, path: Path) -> None:
    with LocalBoard() as one, LocalBoard() as other, TuningDatabase(path) as database:
        boards = [one.board, other.board]
        tune_model(imported(tiny_onnx), _PROFILE, boards, database, Budget(_TRIALS))
        by_board = {one.board for one in database.trials(_HERE)}
    assert by_board == {"local#0", "local#1"}


def test_what_another_process_measures_meanwhile_is_not_measured_again(
    tiny_onnx: Path, path: Path
) -> None:
    model = imported(tiny_onnx)
    largest = max(tasks_of(model, _PROFILE, DEFAULTS).tasks, key=lambda one: one.form.size)
    told: list[Progress] = []

    def another(progress: Progress) -> None:
        if progress.trials and not told:
            told.append(progress)
            with TuningDatabase(path) as theirs:
                for choice in choices(largest.form):
                    theirs.append(None, _HERE, failed(largest, choice))

    with LocalBoard() as local, TuningDatabase(path) as database:
        tune_model(model, _PROFILE, [local.board], database, Budget(60), told=another)
        mine = [one for one in database.trials(_HERE) if one.board != "theirs"]
    # What was being built or measured when the other's came is done all the same.
    assert told
    assert sum(one.workload == largest.key for one in mine) < largest.form.size / 2


def test_tunings_of_the_same_and_of_another_model_share_a_database(
    tiny_onnx: Path, path: Path, tmp_path: Path
) -> None:
    product = write_product(tmp_path / "product.onnx")
    budget = ("--trials", str(_TRIALS), "--builders", "1", "--json")
    running = [tuning(model, path, *budget) for model in (product, tiny_onnx, product)]
    outs = [one.communicate(timeout=180)[0] for one in running]
    assert [one.returncode for one in running] == [0] * 3
    told = [json.loads(one) for one in outs]
    with TuningDatabase(path, must_exist=True) as database:
        trials = database.trials(_HERE)
        runs = [database.trials_in(run) for run in (1, 2, 3)]
        verdicts = database.verdicts(_HERE)
    # Each process counts what it has measured itself: all of that is there, once.
    measured = Counter[str]()
    for one in told:
        measured.update(one["outcomes"])
    assert measured == Counter(one.outcome for one in trials)
    assert sum(runs) == len(trials)
    assert min(one["trials"] for one in told) >= _TRIALS
    assert {one["key"] for each in told for one in each["kernels"]} == set(verdicts)
    with closing(sqlite3.connect(path)) as looked:
        assert looked.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def choices(form: Form) -> Iterator[KernelChoice]:
    """All schedules of a form, but the default."""
    for lot in itertools.product(*form.candidates.values()):
        taken = dict(zip(form.candidates, lot, strict=True))
        decisions = {name: one for name, one in taken.items() if one != form.defaults[name]}
        if decisions:
            yield KernelChoice(form.rule, decisions)


def failed(task: Task, choice: KernelChoice) -> Trial:
    """A trial that another process made."""
    return Trial(task.key, task.key, choice, {}, "crash", (), 0.0, board="theirs")


def test_a_search_whose_boards_are_all_gone_ends(
    tiny_onnx: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_ALL_LOST_S", 3.0)
    with LocalBoard() as local, TuningDatabase(path) as database:
        board = local.board
        local.stop()
        with pytest.raises(BoardGoneError, match="all boards"):
            tune_model(imported(tiny_onnx), _PROFILE, [board], database, Budget(_TRIALS))
        assert database.trials(_HERE) == []


class _Builder(LocalBuilder):
    """Notes the defaults that it is asked for, and builds none where it is told so."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(1)
        self.defaults: list[str] = []
        self._refuses = refuses

    def submit(self, job: BuildJob) -> Future[Built]:
        if job.choice.decisions or job.choice.trace:
            return super().submit(job)
        self.defaults.append(job.kernel)
        if not self._refuses:
            return super().submit(job)
        refused: Future[Built] = Future()
        refused.set_exception(ValueError("no such default"))
        return refused


def test_a_budget_below_the_number_of_kernels_tries_something_all_the_same(
    tiny_onnx: Path, path: Path
) -> None:
    model, builder = imported(tiny_onnx), _Builder()
    tasks = tasks_of(model, _PROFILE, DEFAULTS).tasks
    with LocalBoard() as local, TuningDatabase(path) as database:
        tune_model(model, _PROFILE, [local.board], database, Budget(2), builder=lambda: builder)
        trials = database.trials(_HERE)
    assert len(tasks) > 2
    assert [one.is_default for one in trials[:2]] == [True, False]
    assert {one.task for one in trials} == {max(tasks, key=lambda one: one.calls * one.work).key}


def test_defaults_that_were_measured_before_are_built_when_they_are_needed(
    tiny_onnx: Path, path: Path
) -> None:
    model, builder, refusing = imported(tiny_onnx), _Builder(), _Builder(refuses=True)
    tasks = tasks_of(model, _PROFILE, DEFAULTS).tasks
    with LocalBoard() as local, TuningDatabase(path) as database:
        boards, budget = [local.board], Budget(2 * len(tasks), until_flat=False)
        tune_model(model, _PROFILE, boards, database, budget, builder=lambda: builder)
        assert len(builder.defaults) == len(tasks)
        before = len(database.trials(_HERE))
        # Its candidates have no yardstick now: they are given up, and the search ends.
        tune_model(model, _PROFILE, boards, database, Budget(20), builder=lambda: refusing)
        after = database.trials(_HERE)[before:]
        assert after
        assert {one.outcome for one in after} == {"build error"}
        assert all(one.is_default for one in after)
        again = _Builder()
        tune_model(model, _PROFILE, boards, database, Budget(2), builder=lambda: again)
        assert 0 < len(again.defaults) <= 2
