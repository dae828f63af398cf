"""MetaSchedule's JSON records: it reads what is written here, and what it writes is read."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from real_board import imported
from rich.console import Console

from edgetvm.base.errors import UsageError
from edgetvm.base.frames import quick_frames
from edgetvm.boards import load_profile
from edgetvm.cli.records import _table, command
from edgetvm.compile import CompileOptions
from edgetvm.compile.tuned import KernelChoice, workload_key
from edgetvm.tune import TuningDatabase, conditions_of
from edgetvm.tune.drawing import DrawJob, draw_traces
from edgetvm.tune.generic import TITLE
from edgetvm.tune.metaschedule import (
    RECORDS,
    WORKLOADS,
    Record,
    export_records,
    import_records,
    parse_record,
    parse_workload,
)
from edgetvm.tune.records import Trial
from edgetvm.tune.summary import summaries
from edgetvm.tune.tasks import Task, tasks_of

_PROFILE = load_profile("local")
_LOOPS = CompileOptions(opt_level=1)
_HERE = conditions_of(_PROFILE, _LOOPS)


@pytest.fixture(scope="module")
def tasks(tiny_onnx: Path) -> tuple[Task, ...]:
    """The kernels of a small model, in loops."""
    return tasks_of(imported(tiny_onnx), _PROFILE, _LOOPS).tasks


@pytest.fixture
def database(tmp_path: Path, tasks: tuple[Task, ...]) -> Iterator[TuningDatabase]:
    """Of each kernel its default, a drawn schedule twice as fast, and one that failed."""
    with TuningDatabase(tmp_path / "tuning.sqlite") as made:
        for task in tasks:
            made.add_workload(task.form, task.description)
            default = Trial(
                task.key, task.key, KernelChoice(task.form.rule), {}, "ok", (2.0, 2.0), 2.0
            )
            made.append(None, _HERE, default)
            traces = draw_traces(DrawJob(task.form.kernel, _PROFILE, _LOOPS, 2, seed=1))
            for trace, times_ms in zip(traces, ((1.0, 1.5), ()), strict=False):
                drawn = replace(default, choice=KernelChoice(TITLE, trace=trace), times_ms=times_ms)
                made.append(None, _HERE, drawn if times_ms else replace(drawn, outcome="timeout"))
        yield made


def stock() -> Any:
    """MetaSchedule itself."""
    quick_frames()
    from tvm.s_tir import meta_schedule

    return meta_schedule


def test_stock_metaschedule_reads_the_export(
    database: TuningDatabase, tmp_path: Path, tasks: tuple[Task, ...]
) -> None:
    from tvm import s_tir

    guessed = Trial(tasks[0].key, tasks[0].key, KernelChoice(tasks[0].form.rule), {}, "ok", (1e-9,))
    database.append(None, replace(_HERE, estimated=True), guessed)
    told = export_records(database, tmp_path / "out")
    assert told.estimated == 1
    records = stock().database.JSONDatabase(work_dir=str(tmp_path / "out"), allow_missing=False)
    found = records.get_all_tuning_records()
    trials = database.trials(_HERE)
    assert len(found) == told.records == len(trials) and not told.left_out
    assert told.workloads == len(tasks)
    for task in tasks:
        mine = [one for one in trials if one.task == task.key]
        (workload,) = {
            one.workload for one in found if workload_key(one.workload.mod["main"]) == task.key
        }
        best = records.get_top_k(workload, 1)[0]
        assert [float(one) for one in best.run_secs] == pytest.approx([0.001, 0.0015])
        assert dict(best.target.export())["mcpu"] == _PROFILE.cpu
        assert len(best.args_info) == len(task.form.arguments)
        schedule = s_tir.Schedule(workload.mod)
        best.trace.apply_to_schedule(schedule, remove_postproc=False)
        assert min(one.latency_ms for one in mine) == pytest.approx(1.25)


def test_what_rules_rewrite_is_left_out_and_counted(tiny_onnx: Path, tmp_path: Path) -> None:
    options = CompileOptions()
    with TuningDatabase(tmp_path / "tuning.sqlite") as database:
        found = tasks_of(imported(tiny_onnx), _PROFILE, options).tasks
        for task in found:
            database.add_workload(task.form, task.description)
            choice = KernelChoice(task.form.rule)
            trial = Trial(task.key, task.key, choice, {}, "ok", (1.0,), 1.0)
            database.append(None, conditions_of(_PROFILE, options), trial)
        told = export_records(database, tmp_path / "out")
    assert told.records + sum(told.left_out.values()) == len(found)
    # A kernel has one trial here: without a record it is of no use to a reader.
    assert told.workloads == told.records < len(found)
    assert len((tmp_path / "out" / WORKLOADS).read_text().splitlines()) == told.workloads
    assert set(told.left_out) <= {task.form.rule for task in found}


def test_stock_records_become_trials_that_decide_nothing(
    tmp_path: Path, tasks: tuple[Task, ...]
) -> None:
    from tvm import ir, s_tir

    ms, kernel = stock(), ir.load_json(tasks[0].form.kernel)
    module = ir.IRModule({"main": kernel.with_attr("global_symbol", "main")})
    written = ms.database.JSONDatabase(work_dir=str(tmp_path))
    workload, schedule = written.commit_workload(module), s_tir.Schedule(module)
    for times_s in ([0.002, 0.004], None, [1e10]):
        block = schedule.get_sblock("root")
        schedule.annotate(block, f"a{times_s}", 1)
        written.commit_tuning_record(ms.database.TuningRecord(schedule.trace, workload, times_s))
    with TuningDatabase(tmp_path / "tuning.sqlite") as database:
        told = import_records(database, tmp_path, _PROFILE, _LOOPS)
        assert (told.added, told.known, told.damaged) == (3, 0, ())
        trials = database.trials(_HERE)
        assert [one.outcome for one in trials] == ["ok", "build error", "build error"]
        assert {one.task for one in trials} == {tasks[0].key}
        assert trials[0].latency_ms == pytest.approx(3.0) and trials[0].is_from_elsewhere
        assert not database.schedules(_HERE).kernels
        listed = CliRunner().invoke(command, ["list", "--database", str(database.path)]).output
        assert tasks[0].key[:8] in listed and "1.00" not in listed
        assert import_records(database, tmp_path, _PROFILE, _LOOPS).known == 3


def test_what_is_exported_comes_back(database: TuningDatabase, tmp_path: Path) -> None:
    export_records(database, tmp_path / "out")
    with TuningDatabase(tmp_path / "other.sqlite") as other:
        import_records(other, tmp_path / "out", _PROFILE, _LOOPS)
        expected = [one for one in database.trials(_HERE) if one.choice.trace is not None]
        found = {str(json.loads(one.choice.trace or "")): one for one in other.trials(_HERE)}
        for trial in expected:
            back = found[str(json.loads(trial.choice.trace or ""))]
            assert back.workload == trial.workload
            assert back.times_ms == pytest.approx(trial.times_ms)
            assert (back.outcome == "ok") == (trial.outcome == "ok")


def test_damaged_lines_are_told_by_their_numbers(database: TuningDatabase, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    whole = export_records(database, folder).records
    lines = (folder / RECORDS).read_bytes().splitlines()
    record = json.loads(lines[0])
    other = [record[0], [[[["Vectorize", ["l9"], [], []]], []], *record[1][1:]]]
    bad = [lines[0][:50], b"\xff", b"{}", b"[99" + lines[0][2:], json.dumps(other).encode()]
    (folder / RECORDS).write_bytes(b"\n".join([*bad[:2], b"", *bad[2:], *lines]) + b"\n")
    with TuningDatabase(tmp_path / "other.sqlite") as read:
        told = import_records(read, folder, _PROFILE, _LOOPS)
    assert told.added + told.known == whole
    assert [(one.file, one.line) for one in told.damaged] == [
        (RECORDS, line) for line in (1, 2, 4, 5, 6)
    ]
    assert "JSON" in told.damaged[0].what and "trace" in told.damaged[-1].what


def test_a_damaged_kernel_costs_its_records_only(database: TuningDatabase, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_records(database, folder)
    lines = (folder / WORKLOADS).read_text().splitlines()
    (folder / WORKLOADS).write_text("\n".join([lines[0][:-40] + '"]', *lines[1:]]) + "\n")
    with TuningDatabase(tmp_path / "other.sqlite") as read:
        told = import_records(read, folder, _PROFILE, _LOOPS)
    assert (told.damaged[0].file, told.damaged[0].line) == (WORKLOADS, 1)
    assert told.added > 0 and all("kernel" in one.what for one in told.damaged)


def test_folders_that_cannot_be_used_are_refused(database: TuningDatabase, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=WORKLOADS):
        import_records(database, tmp_path, _PROFILE, _LOOPS)
    export_records(database, tmp_path / "out")
    with pytest.raises(UsageError, match="holds records"):
        export_records(database, tmp_path / "out")
    with pytest.raises(UsageError, match="no board has measured a trial for other"):
        export_records(database, tmp_path / "none", "other")
    assert not (tmp_path / "none").exists()


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)
_instructions = st.tuples(st.text(max_size=5), *[st.lists(st.text(max_size=3), max_size=2)] * 3)
_decisions = st.tuples(st.integers(0, 9), _values)
_seconds = st.floats(0, 1e8, exclude_min=True)


@given(st.text() | _values.map(json.dumps))
def test_no_line_makes_the_parsers_stumble(line: str) -> None:
    for parse in (parse_record, parse_workload):
        try:
            parse(line)
        except ValueError as error:
            assert str(error)


@given(
    st.integers(0, 1 << 40),
    st.tuples(st.lists(_instructions, max_size=3), st.lists(_decisions, max_size=3)),
    st.lists(_seconds, min_size=1, max_size=3),
)
def test_records_are_parsed_as_they_were_written(
    workload: int, trace: Any, times_s: list[float]
) -> None:
    line = json.dumps([workload, [trace, times_s, None, None]])
    assert parse_record(line) == Record(workload, json.dumps(trace), tuple(times_s))


@pytest.mark.parametrize("times", [[0], [-1.0], [math.nan], ["1"], [True], 3, {}, [[1.0]]])
def test_times_that_are_none_are_refused(times: object) -> None:
    with pytest.raises(ValueError, match="times are no seconds"):
        parse_record(json.dumps([0, [[[], []], times, None, None]]))


def test_times_without_end_are_failures() -> None:
    for times in (f"[1{'0' * 400}]", "[1e10, 0.5]", "null"):
        assert parse_record(f"[0, [[[], []], {times}, null, null]]").times_s == ()


def test_the_list_tells_trials_best_and_gain(
    database: TuningDatabase, tasks: tuple[Task, ...]
) -> None:
    for one in summaries(database):
        trials = database.trials(_HERE, one.task)
        assert (one.trials, one.failed) == (len(trials), sum(not t.times_ms for t in trials))
        assert one.default_ms == 2.0 and one.best_ms == pytest.approx(1.25)
        assert one.gain == pytest.approx(1.6) and one.rule == TITLE
    ran = CliRunner().invoke(command, ["list", "--database", str(database.path)])
    assert ran.exit_code == 0 and all(task.key[:8] in ran.output for task in tasks)
    told = io.StringIO()
    Console(width=80, file=told).print(_table(summaries(database)))
    assert all(task.key[:8] in told.getvalue() for task in tasks) and TITLE in told.getvalue()
