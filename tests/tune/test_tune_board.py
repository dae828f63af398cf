"""A search over the local board: its records, what they compile to, and workers that die."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_models import value, write
from onnx import helper
from real_board import naming, onnx_runtime, within
from real_command import COMMAND

from edgetvm.base.errors import BoardError, StorageError
from edgetvm.base.frames import quick_frames
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model, target_for
from edgetvm.compile.compiler import optimise
from edgetvm.farm import Board, LocalBoard
from edgetvm.models import Model, import_model
from edgetvm.package.executor import Executor
from edgetvm.tune import Tuned, database_folder, tune_module
from edgetvm.tune.builder import WarmBuilder

pytestmark = pytest.mark.board


@dataclass(frozen=True)
class Search:
    """One model, searched twice in the same folder."""

    model: Model
    outcomes: tuple[Tuned, Tuned]
    records: tuple[int, int]
    events: tuple[StepEvent, ...]


@pytest.fixture(scope="session")
def dense_onnx(models: Path) -> Path:
    """A dense layer with ReLU: one kernel when it is fused."""
    random = np.random.default_rng(5)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    constants = {
        "w": random.standard_normal((24, 32), np.float32),
        "b": random.standard_normal(32, np.float32),
    }
    return write(
        models / "dense.onnx", nodes, [value("x", [12, 24])], [value("y", [12, 32])], constants
    )


@pytest.fixture(scope="session")
def search(
    local_board: LocalBoard, dense_onnx: Path, tmp_path_factory: pytest.TempPathFactory
) -> Search:
    """Two searches of four trials each."""
    database = tmp_path_factory.mktemp("tuning") / "records"
    model = import_model(dense_onnx)
    profile = load_profile("local")
    outcomes, records = [], []
    events: list[StepEvent] = []
    with listening(events.append):
        for _ in range(2):
            module = optimise(model, profile)
            outcomes.append(tune_module(module, profile, local_board.board, 4, database))
            records.append(len(lines(database)))
    return Search(model, (outcomes[0], outcomes[1]), (records[0], records[1]), tuple(events))


def lines(database: Path) -> list[str]:
    """The records of a database."""
    return (database / "database_tuning_record.json").read_text().splitlines()


def test_a_search_leaves_records_measured_on_the_board(search: Search) -> None:
    first, _ = search.outcomes
    assert first.trials >= 4
    (kernel,) = first.kernels
    assert "matmul" in kernel.name
    assert kernel.latency_ms is not None
    assert 0 < kernel.latency_ms < 1000
    assert search.records[0] >= 1
    assert all(json.loads(line) for line in lines(first.database))
    titles = {event.title for event in search.events}
    assert "tune on local" in titles
    assert [event.state for event in search.events if event.title == "tune on local"].count(
        "finished"
    ) == 2


def test_a_second_search_goes_on_in_the_same_folder(search: Search) -> None:
    first, second = search.outcomes
    assert second.database == first.database
    assert search.records[1] > search.records[0]
    best = first.kernels[0].latency_ms, second.kernels[0].latency_ms
    assert best[0] is not None
    assert best[1] is not None
    # The best record of both searches: never worse than the first one's.
    assert best[1] <= best[0]


def test_a_tuned_kernel_is_marked_and_answers_as_onnx_runtime(
    search: Search, dense_onnx: Path
) -> None:
    tuned = compile_model(search.model, load_profile("local"), search.outcomes[0].database)
    assert [kernel.schedule for kernel in tuned.kernels] == ["tuned"]
    plain = compile_model(search.model, load_profile("local"))
    assert "tuned" not in [kernel.schedule for kernel in plain.kernels]
    assert tuned.library != plain.library
    x = np.random.default_rng(9).standard_normal((12, 24), np.float32)
    expected = onnx_runtime(dense_onnx, {"x": x})["y"]
    for artifact in (tuned, plain):
        found = Executor(artifact.library, artifact.signature).run({"x": x})["y"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_search_leaves_no_worker(search: Search) -> None:
    assert search.outcomes
    mine = {process.pid for process in multiprocessing.active_children()}
    assert mine == set()
    assert within(5, lambda: not children_of_this("popen_worker"))


def children_of_this(word: str) -> list[int]:
    """Processes that this one started, with a word in their command line."""
    import psutil

    mine = {child.pid for child in psutil.Process().children(recursive=True)}
    return [pid for pid in naming(word) if pid in mine]


def test_a_board_without_a_tracker_and_a_folder_in_the_way_are_told(
    search: Search, board: Board, tmp_path: Path
) -> None:
    profile = load_profile("local")
    module = optimise(search.model, profile)
    with pytest.raises(BoardError, match="no tracker"):
        tune_module(module, profile, Board("local", "local"), 1, tmp_path / "records")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        tune_module(module, profile, board, 1, tmp_path / "file" / "records")


def test_each_profile_has_a_folder_of_its_own(isolated_home: Path) -> None:
    folder = database_folder(load_profile("rpi4"))
    assert folder == isolated_home / ".local/share/edgetvm/tuning/rpi4"
    assert folder != database_folder(load_profile("rpi5"))


def die(*_: object) -> str:
    """A candidate that takes its worker with it, as code in LLVM can."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return "never"


def test_a_candidate_that_kills_its_worker_costs_itself_alone(
    search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quick_frames()
    from tvm.s_tir.meta_schedule.builder import BuilderInput

    from edgetvm.tune import builder as room

    profile = load_profile("local")
    target = target_for(profile)
    module = optimise(search.model, profile)
    (name,) = [one.name_hint for one in module.get_global_vars() if "matmul" in one.name_hint]
    kernel = module[name].with_attr("global_symbol", "main")
    candidate = BuilderInput(type(module)({"main": kernel}), target)
    build = room._build
    with WarmBuilder(2, tmp_path) as builder:
        (fine,) = builder.build([candidate])
        assert fine.error_msg is None
        assert Path(fine.artifact_path).read_bytes().startswith(b"\x7fELF")
        submit = builder._pool.submit
        calls = 0

        def sabotaged(function: object, *arguments: object) -> object:
            nonlocal calls
            calls += 1
            # Sent as source, not by name: a worker knows nothing of tests.
            return submit(killer if calls == 2 else function, *arguments)

        import cloudpickle

        cloudpickle.register_pickle_by_value(__import__(__name__))
        killer = die
        monkeypatch.setattr(builder._pool, "submit", sabotaged)
        results = builder.build([candidate] * 4)
        monkeypatch.undo()
        assert [result.error_msg is None for result in results] == [True, False, True, True]
        assert "lost" in results[1].error_msg
        # The pool is whole again.
        again = builder.build([candidate] * 2)
        assert [result.error_msg for result in again] == [None, None]
        assert Path(fine.artifact_path).is_relative_to(tmp_path)
    assert build is room._build


def test_ctrl_c_in_a_search_ends_it_at_once_and_leaves_nothing_running(
    dense_onnx: Path, tmp_path: Path
) -> None:
    words = (tmp_path / "words").open("w+")
    process = subprocess.Popen(
        [*COMMAND, "tune", str(dense_onnx), "--trials", "500", "--database", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=words,
        start_new_session=True,
    )
    searching = f"-m edgetvm.tune.search of {process.pid}"
    assert within(60, lambda: children(process.pid, "edgetvm.tune.search") != []), searching
    (search_pid,) = children(process.pid, "edgetvm.tune.search")
    time.sleep(8)  # into TVM's own search, which no Python signal handler can interrupt
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert within(10, lambda: not Path(f"/proc/{search_pid}").exists())
    words.seek(0)
    assert words.read().strip().endswith("stopped by Ctrl-C; nothing is left half-written")


def children(pid: int, named: str) -> list[int]:
    """Processes that `pid` started whose command line holds `named`."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if named in " ".join(child.cmdline()):
                found.append(child.pid)
    return found
