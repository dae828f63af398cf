"""The tuning benchmark: its figures, its checks on a database, and its emulated boards."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.latency.engines import engine_called, settings
from benchmarks.tuning import __main__ as main_module
from benchmarks.tuning.emulated_board import built_sleeper, emulated_boards
from benchmarks.tuning.figures import KEYS, Part, rate_per_minute, result_line, spread
from benchmarks.tuning.kills import Seen, checked, same_choice
from benchmarks.tuning.parity import Point, Reached, ratio_of, reached
from benchmarks.tuning.processes import kill_tree
from benchmarks.tuning.rivals import Searched, rate
from benchmarks.tuning.suite import tuned_ratios
from benchmarks.tuning.suite_tuner import Turn, hope, search_s, tune_all
from edgetvm.boards import load_profile
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm import Board, connect
from edgetvm.measure.peers.case import Case
from edgetvm.tune import TuningDatabase
from edgetvm.tune.jobs import How, Loadable, RunJob, Tensor
from edgetvm.tune.records import Conditions, Trial
from edgetvm.tune.running import BoardRunner

HERE = Conditions("local", "x86_64", 3, 2)


def test_the_result_line_has_all_keys_whatever_was_run() -> None:
    assert result_line([]) == " ".join(f"{key}=nan" for key in KEYS)
    parts = [
        Part({"kills": 100, "lost_trials": 0}, {}),
        Part({"time_to_parity_ratio": 0.00251}, {}, {"time_to_parity_ratio": "<="}),
    ]
    line = result_line(parts)
    assert "time_to_parity_ratio=<=0.00251 " in line
    assert line.endswith("kills=100 lost_trials=0")


def test_a_rate_is_that_of_the_steps_between_events() -> None:
    assert rate_per_minute([5.0, 6.0, 7.0]) == 60
    assert math.isnan(rate_per_minute([5.0]))


def test_copies_are_spread_and_the_last_is_among_them() -> None:
    assert spread(list(range(10)), 3) == [1, 5, 9]
    assert spread([1, 2], 6) == [1, 2]
    assert spread([], 6) == []


def _searched(*trials_at: float) -> Searched:
    return Searched(100.0, trials_at, 0, (), 60.0)


def test_a_rate_counts_from_the_command_to_the_last_trial() -> None:
    part = rate("model", _searched(110.0, 120.0, 130.0), _searched(160.0))
    assert part.figures == {"trials_per_minute_ratio": 6.0}
    assert (
        rate("model", _searched(110.0), _searched()).figures["trials_per_minute_ratio"] == math.inf
    )


def test_parity_is_the_first_point_that_is_as_fast_and_else_a_bound() -> None:
    curve = [Point(30.0, 1.0), Point(10.0, 3.0), Point(20.0, 2.0)]
    assert reached(curve, 2.0, 60.0) == Reached(20.0, True)
    assert reached(curve, 0.5, 60.0) == Reached(60.0, False)
    assert ratio_of(Reached(1.0, True), Reached(50.0, True)) == (0.02, "")
    assert ratio_of(Reached(1.0, True), Reached(50.0, False)) == (0.02, "<=")
    assert ratio_of(Reached(9.0, False), Reached(50.0, True)) == (math.inf, "")
    assert math.isnan(ratio_of(Reached(9.0, False), Reached(50.0, False))[0])


def test_time_goes_to_the_model_that_gained_and_is_used_up() -> None:
    now, notes = [0.0], list[int]()

    def tune(model: str, seconds: float) -> Turn:
        took = 2.0 + seconds
        now[0] += took
        tuned = 0.5 if model == "good" else 1.0
        return Turn(model, seconds, took, 10, 1.0, tuned, "no" if model == "bad" else "")

    taken: list[Turn] = []

    def note(turns: list[Turn]) -> None:
        notes.append(len(turns))
        taken[:] = turns

    tune_all(["flat", "good", "bad"], 100.0, tune, note, lambda: now[0])
    models = [one.model for one in taken]
    assert models[:3] == ["flat", "good", "bad"]
    assert models[3] == "good"
    assert models.count("bad") == 1
    assert 100 <= now[0] < 130
    assert notes == list(range(1, len(taken) + 1))


def test_a_turn_makes_trials_for_what_its_surroundings_leave() -> None:
    known = [Turn("a", 10.0, 25.0), Turn("a", 10.0, 25.0, error="no")]
    assert search_s(40.0, known) == 25.0
    assert search_s(1.0, known) == 2.0
    assert hope(known) == 0.0


def test_ratios_are_read_from_what_the_latency_benchmark_writes() -> None:
    rows = json.loads('[{"model": "a", "tuned_ratio": 0.5}, {"model": "b", "tuned_ratio": "inf"}]')
    rows.append({"model": "c", "tuned_ratio": None})
    assert tuned_ratios(rows) == {"a": 0.5, "b": math.inf}


def test_the_tuned_engine_runs_only_on_the_cores_that_tuning_ran_on(tmp_path: Path) -> None:
    case = Case("m", "fp32", tmp_path / "m.onnx", None, tmp_path, (), ())
    engine, cores = engine_called("edgetvm-tuned"), load_profile("local").cores
    assert settings(engine, case, cores) == ("",)
    assert settings(engine, case, cores + 1) == ()


def _trial(tile: str, ratio: float) -> Trial:
    return Trial("task", "task", KernelChoice("rule", {"tile": tile}), {}, "ok", (ratio,), 1.0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """With three trials of one run."""
    path = tmp_path / "trials.sqlite"
    with TuningDatabase(path) as made:
        run = made.begin_run("model", HERE, "3 trials")
        for at in range(3):
            made.append(run, HERE, _trial(str(at), 0.9 - at / 10))
    return path


def test_a_database_that_kept_all_has_lost_nothing(database: Path) -> None:
    seen = Seen()
    seen.look(database)
    seen.hear(1, "… 1 trial, 0.5 a second\n… 3 trials, 9.0 a second (3 ok)\n")
    assert seen.told == {1: 3}
    found = checked(database, seen)
    assert (found.lost, found.sound, found.rows) == (0, True, 3)
    assert same_choice(database, seen.rows, database.with_name("unharmed.sqlite"))


@pytest.mark.parametrize(
    "harm", ["DELETE FROM trials WHERE id = 2", "UPDATE trials SET times_ms = '[9]' WHERE id = 3"]
)
def test_a_trial_that_is_gone_or_changed_is_lost(database: Path, harm: str) -> None:
    seen = Seen()
    seen.look(database)
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute(harm)
    assert checked(database, seen).lost == 1


def test_a_trial_that_was_told_of_and_never_written_is_lost(database: Path) -> None:
    seen = Seen()
    seen.hear(1, "… 5 trials, 9.0 a second")
    assert checked(database, seen).lost == 2


def test_another_choice_is_noticed(database: Path) -> None:
    seen = Seen()
    seen.look(database)
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("DELETE FROM trials WHERE id = 3")
    assert not same_choice(database, seen.rows, database.with_name("unharmed.sqlite"))


def test_before_there_is_a_database_nothing_is_seen(tmp_path: Path) -> None:
    seen = Seen()
    seen.look(tmp_path / "none.sqlite")
    assert checked(tmp_path / "none.sqlite", seen).rows == 0
    assert not (tmp_path / "none.sqlite").exists()


def test_a_killed_tree_has_no_survivors() -> None:
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {0!r}]).wait()"
    sleeps = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", child.format(sleeps)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    assert kill_tree(process) == 2
    with pytest.raises(ProcessLookupError):
        os.kill(grandchild, 0)
    process.stdout.close()
    assert kill_tree(process) == 0


@pytest.mark.board
def test_on_an_emulated_board_every_candidate_sleeps(tmp_path: Path) -> None:
    sleeper = built_sleeper(tmp_path, 20.0)
    argument = (Tensor((4,), "float32"),)
    mine = Loadable(b"candidate", argument, "candidate7")
    job = RunJob(Loadable(b"default", argument), mine, How())
    with emulated_boards(2, "emulated", sleeper) as tracker:
        board = Board("emulated", "rpi4", tracker, "emulated")
        assert not board.shares_cores
        runner = BoardRunner(board)
        with connect(board) as other:
            assert other.facts()["cores"]
            ran = runner.run(job)
        runner.close()
    assert ran.outcome == "ok"
    assert min(ran.times_ms) >= 20.0
    assert ran.default_ms >= 20.0


def test_only_the_parts_that_are_asked_for_run_and_what_they_found_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = Part({"boards8_scaling": 7.5}, {"runs": [{"measured_at": [1.0, 2.0]}]})
    runners = {("rate", "parity"): lambda _: pytest.fail("it was not asked for")}
    monkeypatch.setattr(main_module, "_RUNNERS", {**runners, ("boards",): lambda _: [part]})
    file = tmp_path / "results" / "tuning.json"
    monkeypatch.setattr(sys, "argv", ["tuning", "--parts", "boards", "--json", str(file)])
    main_module.main()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("result: trials_per_minute_ratio=nan ")
    assert "boards8_scaling=7.5 " in last
    written = json.loads(file.read_text())
    assert f"result: {written['result']}" == last
    assert written["parts"][0]["raw"]["runs"][0]["measured_at"] == [1.0, 2.0]


def test_an_unknown_part_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tuning", "--parts", "rates"])
    with pytest.raises(SystemExit):
        main_module.main()
    assert "no part is called rates: rate, parity" in capsys.readouterr().err
