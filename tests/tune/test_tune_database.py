"""The database of trials: what is appended stays, whatever happens, and the best of it is taken."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import HERE, made_form, made_trial

from edgetvm.base.errors import ConfigurationError, EdgetvmError, StorageError
from edgetvm.boards import load_profile
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune import conditions_of, database_file
from edgetvm.tune.choosing import MARGIN
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.database_file import FORMAT
from edgetvm.tune.records import OUTCOMES, Conditions, Trial

_KILLS = 20
_FAST = {"tile": "4"}
_FASTER = {"tile": "8"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[TuningDatabase]:
    """An empty one."""
    with TuningDatabase(tmp_path / "tuning.sqlite") as made:
        yield made


_words = st.text(max_size=8)
_choices = st.builds(
    KernelChoice, _words, st.dictionaries(_words, _words, max_size=3), st.none() | _words
)
_numbers = st.floats(0, allow_infinity=False, allow_nan=False)
_facts = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _words
_trials = st.builds(
    Trial,
    _words,
    _words,
    _choices,
    st.dictionaries(_words, st.dictionaries(_words, _words, max_size=2), max_size=2),
    st.sampled_from(OUTCOMES),
    st.lists(_numbers, max_size=4).map(tuple),
    _numbers,
    _words,
    _words,
    st.dictionaries(_words, _facts, max_size=3),
)


@settings(deadline=None, max_examples=30)
@given(trials=st.lists(_trials, max_size=4))
def test_trials_come_back_as_they_were(trials: list[Trial]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tuning.sqlite"
        with TuningDatabase(path) as one:
            run = one.begin_run("model", HERE, "4 trials")
            numbers = [one.append(run, HERE, trial) for trial in trials]
        with TuningDatabase(path, must_exist=True) as again:
            assert again.trials(HERE) == trials
            assert again.trials_in(run) == len(trials)
            assert numbers == sorted(set(numbers))
            assert again.unfinished_runs("model", HERE) == {run: "4 trials"}


def test_trials_of_other_conditions_are_apart(database: TuningDatabase) -> None:
    others = [
        Conditions("rpi4", "aarch64", 3, 2),
        Conditions("local", "x86_64", 2, 2),
        Conditions("local", "x86_64", 3, 2, estimated=True),
        Conditions("server", "x86_64", 3, 2),
        Conditions("local", "x86_64", 3, 1),
    ]
    for at, conditions in enumerate([HERE, *others]):
        database.append(None, conditions, made_trial(f"task {at}"))
    assert [one.task for one in database.trials(HERE)] == ["task 0"]
    assert [one.task for one in database.trials(others[2])] == ["task 3"]
    assert [one.task for one in database.trials_of_architecture(HERE)] == ["task 4", "task 5"]


def test_with_fewer_cores_it_is_another_search() -> None:
    """`taskset` leaves this machine's profile fewer cores: nothing of the two is mixed."""
    profile = load_profile("local")
    alone = replace(profile, cores=profile.cores + 1)
    assert conditions_of(profile).key != conditions_of(alone).key


def test_a_run_is_of_its_conditions(database: TuningDatabase) -> None:
    estimated = replace(HERE, estimated=True)
    run = database.begin_run("model", estimated, "4 trials")
    assert database.unfinished_runs("model", HERE) == {}
    assert database.unfinished_runs("model", estimated) == {run: "4 trials"}


def test_a_kernel_is_kept_once_with_how_it_may_be_scheduled(database: TuningDatabase) -> None:
    form = made_form({"tile": ["1", "2"], "order": ["a", "b", "c"]}, operators={"x": {"y": "z"}})
    database.add_workload(form, "matmul 8x16")
    database.add_workload(form, "the same again")
    assert database.kernel(form.workload) == form.kernel
    assert database.forms() == {form.workload: form}
    assert database.kernel("unknown") is None


_WRITER = """
import sys
from pathlib import Path
from made_trials import HERE, made_trial
from edgetvm.tune.database import TuningDatabase
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with TuningDatabase(path) as database:
    for at in range(count):
        database.append(None, HERE, made_trial(f"{name} {at}"))
        print(at, flush=True)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that appends trials, and says so after each."""
    search = os.pathsep.join(one for one in sys.path if one)
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search},
    )


def test_processes_that_make_and_fill_one_database_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    writers = [writer(path, f"writer {at}", 60) for at in range(3)]
    assert [one.communicate()[0].count("\n") for one in writers] == [60] * 3
    assert [one.returncode for one in writers] == [0] * 3
    with TuningDatabase(path) as database:
        tasks = [one.task for one in database.trials(HERE)]
    assert sorted(tasks) == sorted(f"writer {one} {at}" for one in range(3) for at in range(60))


_DYING = """
import os, random, signal, sys, threading, time
from pathlib import Path
from made_trials import HERE, made_trial
from edgetvm.tune.database import TuningDatabase
path, kills, told = Path(sys.argv[1]), int(sys.argv[2]), os.fdopen(int(sys.argv[3]), "w")
draw = random.Random(6)
for kill in range(kills):
    after_s = draw.uniform(0, 0.04)
    pid = os.fork()
    if pid:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        continue
    at = 0
    database = TuningDatabase(path)
    while True:
        database.append(None, HERE, made_trial(f"kill {kill} {at}"))
        os.write(told.fileno(), f"kill {kill} {at}\\n".encode())
        at += 1
"""


def test_a_writer_killed_at_any_instant_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    path, said = tmp_path / "tuning.sqlite", tmp_path / "said"
    with said.open("w") as told:
        subprocess.run(
            [sys.executable, "-c", _DYING, str(path), str(_KILLS), str(told.fileno())],
            pass_fds=[told.fileno()],
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
        )
    appended = said.read_text().splitlines()
    assert appended
    with TuningDatabase(path, must_exist=True) as database:
        kept = [one.task for one in database.trials(HERE)]
        # At most the trial that was on its way to the disk stands there and was not told.
        assert set(appended) <= set(kept)
        assert len(kept) == len(set(kept))
        assert len(kept) <= len(appended) + _KILLS
        database.append(None, HERE, made_trial("after all"))
    with sqlite3.connect(path) as looked:
        assert looked.execute("PRAGMA integrity_check").fetchone() == ("ok",)


_HOLDING = """
import sys
from pathlib import Path
from edgetvm.tune import TuningDatabase
database = TuningDatabase(Path(sys.argv[1]))
print(database.work_on(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def test_a_run_is_worked_on_by_one_process_until_that_ends_or_is_killed(
    database: TuningDatabase,
) -> None:
    first, second = (database.begin_run("model", HERE, "4 trials") for _ in range(2))
    words = [sys.executable, "-c", _HOLDING, str(database.path), str(first)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not database.work_on(first) and database.work_on(second)
        assert database.is_another_at_work(second, HERE)
        for _ in "ab":  # the end of the first lets go of nothing of the others'
            with TuningDatabase(database.path) as twin:
                assert not twin.work_on(second) and not twin.work_on(first)
        other.kill()
    assert not database.is_another_at_work(second, HERE)
    assert database.work_on(first)


def test_verdicts_and_layouts_of_estimates_are_apart(database: TuningDatabase) -> None:
    estimated = replace(HERE, estimated=True)
    number = database.append(None, HERE, made_trial(decisions=_FAST, ratio=0.5))
    database.decide(HERE, "task", number, 2.0)
    database.decide(estimated, "task", None, 1.0)
    database.choose_layout(HERE, "a", "NCHW", 1.2)
    database.choose_layout(HERE, "b", "auto", 1.0)
    assert database.verdicts(HERE) == {"task": (number, 2.0, number)}
    assert database.verdicts(estimated)["task"][0] is None
    assert database.layouts(HERE) == {"a": "NCHW", "b": "auto"}
    assert database.schedules(HERE).layouts == {"a": "NCHW"}
    assert database.layouts(estimated) == {}
    database.append(None, estimated, made_trial())
    assert [count for _, count, *_ in database.since(0)] == [1]


def test_a_newer_format_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite"
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE trials (of TEXT)")
        newer.execute(f"PRAGMA user_version = {FORMAT + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"format {FORMAT + 1}") as caught:
        TuningDatabase(path)
    assert caught.value.mend
    assert path.read_bytes() == before


def test_a_file_of_others_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE addresses (name TEXT)")
    other.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all\n" * 100)
    for path in (foreign, text):
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="no tuning database") as caught:
            TuningDatabase(path)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == before


def test_a_damaged_database_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "tuning.sqlite"
    with TuningDatabase(path) as database:
        for at in range(200):
            database.append(None, HERE, made_trial(f"task {at}"))
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(EdgetvmError) as caught, TuningDatabase(path) as database:
        database.trials(HERE)
    assert str(path) in str(caught.value)


def test_a_folder_and_a_file_in_the_way_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not a folder"):
        TuningDatabase(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        TuningDatabase(tmp_path / "file" / "tuning.sqlite")
    with pytest.raises(StorageError, match="no such tuning database"):
        TuningDatabase(tmp_path / "none.sqlite", must_exist=True)
    assert not (tmp_path / "none.sqlite").exists()


_NOBODY = """
import os, sys
from pathlib import Path
from edgetvm.base.errors import StorageError
from edgetvm.tune.database import TuningDatabase
from made_trials import HERE
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    TuningDatabase(Path(sys.argv[1]) / "new.sqlite")
except StorageError as error:
    print(error)
with TuningDatabase(Path(sys.argv[1]) / "old.sqlite", must_exist=True) as database:
    print(len(database.trials(HERE)))
"""


def test_in_a_read_only_folder_nothing_can_be_made_but_what_is_there_is_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TuningDatabase(folder / "old.sqlite") as database:
            database.append(None, HERE, made_trial())
        (folder / "old.sqlite").chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", _NOBODY, name],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
        )
        folder.chmod(0o755)
    refused, read = done.stdout.splitlines()
    assert "new.sqlite" in refused
    assert read == "1", done.stderr


def test_what_is_only_fast_beside_a_default_that_was_disturbed_is_not_taken(
    database: TuningDatabase,
) -> None:
    database.append(None, HERE, made_trial(default_ms=2.0))
    database.append(None, HERE, made_trial(ratio=0.4, decisions=_FASTER, default_ms=6.0))
    assert not database.schedules(HERE).kernels
    # The second is 0.9 of the fastest default, though 0.6 beside its own.
    database.append(None, HERE, made_trial(ratio=0.6, decisions=_FAST, default_ms=3.0))
    (chosen,) = database.schedules(HERE).kernels.values()
    assert chosen.decisions == _FAST


def test_nothing_slower_than_the_default_is_taken(database: TuningDatabase) -> None:
    database.append(None, HERE, made_trial())
    database.append(None, HERE, made_trial(ratio=1.2, decisions=_FAST))
    database.append(None, HERE, made_trial(ratio=MARGIN + 0.01, decisions=_FASTER))
    database.append(None, HERE, made_trial(decisions=_FAST, outcome="crash"))
    assert not database.schedules(HERE).kernels
    database.append(None, HERE, made_trial(ratio=MARGIN - 0.01, decisions=_FASTER))
    assert database.schedules(HERE).kernels == {"task": KernelChoice("rule", _FASTER)}


def test_a_verdict_counts_until_a_later_trial_is_faster_by_the_margin(
    database: TuningDatabase,
) -> None:
    database.append(None, HERE, made_trial(ratio=0.5, decisions=_FAST))
    winner = database.append(None, HERE, made_trial(ratio=0.6, decisions=_FASTER))
    database.decide(HERE, "task", winner, 1 / 0.6)
    assert database.schedules(HERE).kernels["task"].decisions == _FASTER
    database.append(None, HERE, made_trial(ratio=0.59, decisions={"tile": "16"}))
    assert database.schedules(HERE).kernels["task"].decisions == _FASTER
    database.append(None, HERE, made_trial(ratio=0.5, decisions={"tile": "32"}))
    assert database.schedules(HERE).kernels["task"].decisions == {"tile": "32"}


def test_a_verdict_for_the_default_counts_too(database: TuningDatabase) -> None:
    database.append(None, HERE, made_trial(ratio=0.5, decisions=_FAST))
    database.decide(HERE, "task", None, 1.0)
    assert not database.schedules(HERE).kernels
    database.append(None, HERE, made_trial(ratio=0.9, decisions=_FASTER))
    assert database.schedules(HERE).kernels["task"].decisions == _FASTER


def test_what_answered_wrongly_is_never_taken(database: TuningDatabase) -> None:
    """Even before the verdict: the search may be killed between."""
    database.append(None, HERE, made_trial(ratio=0.5, decisions=_FAST))
    database.append(None, HERE, made_trial(ratio=0.9, decisions=_FASTER))
    database.append(None, HERE, made_trial(decisions=_FAST, outcome="wrong result"))
    assert database.schedules(HERE).kernels["task"].decisions == _FASTER


def test_where_tasks_want_an_operator_otherwise_the_larger_gain_decides(
    database: TuningDatabase,
) -> None:
    mine, others = {"matmul": {"packing": "8"}}, {"matmul": {"packing": "16"}}
    database.append(
        None, HERE, made_trial("small", 0.5, operators=mine, workload="s", default_ms=1)
    )
    database.append(
        None, HERE, made_trial("large", 0.8, operators=others, workload="l", default_ms=10)
    )
    assert database.schedules(HERE).operators == others


def test_a_database_that_could_not_be_made_can_be_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tuning.sqlite"
    with monkeypatch.context() as broken:
        broken.setattr(database_file, "_SCHEMA", f"{database_file._SCHEMA}; CREATE TABLE runs (x);")
        with pytest.raises(StorageError, match="already exists"):
            TuningDatabase(path)
    with TuningDatabase(path) as found:
        assert found.conditions() == []
