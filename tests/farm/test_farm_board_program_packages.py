"""edgetvm's own functions on a board that runs the C program: as on the Python server."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from made_models import write_shared
from numpy.typing import NDArray
from program_board import PROFILES, kernels, serving
from real_board import DAMAGES, packaged, within
from real_command import edgetvm

from edgetvm.base.errors import (
    BoardCrashError,
    BoardError,
    BoardMemoryError,
    InputError,
    PackageError,
)
from edgetvm.farm import Address, Board, BoardSession, LocalBoard, connect
from edgetvm.farm.session_records import Pace
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.measure.conditions import conditions_of
from edgetvm.models.correctness import worst_error
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board


@contextmanager
def program_board(tracker: Address, architecture: str) -> Iterator[tuple[Board, int]]:
    """A board of the inventory that runs the program, and its server's process."""
    key = f"program-{architecture}"
    with serving(architecture, "--tracker", str(tracker), key=key) as served:
        assert within(20, lambda: key in registered_keys(tracker))
        yield Board(key, PROFILES[architecture], tracker, key), served.process.pid


@pytest.fixture(scope="module")
def served(local_board: LocalBoard) -> Iterator[tuple[Board, int]]:
    """A board of this machine's architecture."""
    with program_board(local_board.tracker, "x86_64") as made:
        yield made


@pytest.fixture(scope="module")
def board(served: tuple[Board, int]) -> Board:
    """The same without its process."""
    return served[0]


def agree(package: Package, answers: Mapping[str, Any]) -> bool:
    """Whether answers to the sample are those that the package brings."""
    return worst_error(answers, package.sample_outputs, None).max_relative_error < 1e-4


@pytest.mark.parametrize("architecture", PROFILES)
def test_a_package_runs_on_every_architecture(
    architecture: str, local_board: LocalBoard, tiny_onnx: Path
) -> None:
    package = packaged(tiny_onnx, profile=PROFILES[architecture])
    with (
        program_board(local_board.tracker, architecture) as (board, _),
        connect(board) as session,
    ):
        facts = session.facts()
        assert facts["machine"] == architecture
        opened = session.open(package.data, None)
        assert opened.profile == PROFILES[architecture]
        assert agree(package, opened.outputs)
        took_ns, answers = session.run(package.sample_inputs)
        assert took_ns > 0
        assert agree(package, answers)
        assert len(session.time_runs(7, 20.0)) == 7
        assert 0 < session.peak_memory_bytes() < 64 << 20


def test_facts_are_those_of_the_python_server(board: Board, local_board: LocalBoard) -> None:
    with connect(board) as session:
        told = session.facts()
    with connect(local_board.board) as session:
        expected = session.facts()
    assert set(told) == set(expected)
    for name in set(expected) - {"load_average", "temperature_c"}:
        assert told[name] == expected[name], name


def test_conditions_are_those_of_the_python_server(board: Board, local_board: LocalBoard) -> None:
    with connect(board) as session:
        told = conditions_of(session.conditions())
    with connect(local_board.board) as session:
        expected = conditions_of(session.conditions())
    for name in ("governors", "max_frequencies_khz", "throttled", "cores"):
        assert getattr(told, name) == getattr(expected, name), name
    assert len(told.frequencies_khz) == len(expected.frequencies_khz)
    assert told.energy_uj.keys() == expected.energy_uj.keys()
    # Counters of the machine go on between the two looks.
    for name in ("clock_ns", "busy_cpu_ns", "stolen_cpu_ns"):
        assert 0 <= getattr(expected, name) - getattr(told, name) < 60 * 10**9, name
    assert told.threads >= 1
    assert told.own_cpu_ns > 0
    assert told.runnable >= 1


def queries_of(session: BoardSession, package: Package) -> None:
    """What holds of a board's queries, whichever program serves it."""
    session.open(package.data, 1)
    back_to_back = session.time_queries(20, 60.0, runs_per_query=3)
    assert len(back_to_back.began_ns) == 20
    assert (back_to_back.began_ns < back_to_back.ended_ns).all()
    assert (back_to_back.ended_ns[:-1] <= back_to_back.began_ns[1:]).all()
    assert 0 <= back_to_back.began_ns[0] < back_to_back.ended_ns[-1] <= back_to_back.on_board_ns
    arrivals_ns = np.asarray([2_000_000, 2_000_001, 9_000_000], np.int64)
    paced = session.time_queries(3, 60.0, arrivals_ns=arrivals_ns)
    assert (paced.began_ns >= arrivals_ns).all()
    assert len(session.time_queries(3, 0.001, arrivals_ns=arrivals_ns).began_ns) in (1, 2, 3)
    for wrong in (arrivals_ns[:2], arrivals_ns[::-1].copy()):
        with pytest.raises(BoardError, match="the arrivals are not"):
            session.time_queries(3, 60.0, arrivals_ns=wrong)
    assert len(session.time_queries(2, 60.0).began_ns) == 2


def test_queries_are_those_of_the_python_server(
    board: Board, local_board: LocalBoard, tiny_package: Package
) -> None:
    for one in (board, local_board.board):
        with connect(one) as session:
            queries_of(session, tiny_package)


def test_kernels_are_timed_as_by_the_python_server(
    board: Board, local_board: LocalBoard, tiny_package: Package
) -> None:
    names = []
    for one in (board, local_board.board):
        with connect(one) as session:
            session.open(tiny_package.data, 1)
            told, times_ns = session.time_kernels(4, 60.0)
            assert times_ns.shape == (4, len(told))
            assert (times_ns >= 0).all()
            assert times_ns.sum() > 0
            names.append(told)
    assert names[0] == names[1]
    assert set(names[0]) == {one.name for one in tiny_package.manifest.targets[0].kernels}


def test_streams_carry_their_state(
    board: Board, local_board: LocalBoard, stateful_package: Package
) -> None:
    random = np.random.default_rng(3)
    (spec,) = (
        one
        for one in stateful_package.manifest.signature.inputs
        if one.name not in stateful_package.manifest.signature.initial_states()
    )
    chunks = {spec.name: random.normal(size=(9, *spec.shape)).astype(spec.dtype)}

    def streamed(session: BoardSession) -> dict[str, Any]:
        session.open(stateful_package.data, None)
        session.stream({spec.name: chunks[spec.name][:2]})
        service_ns, outputs = session.stream(chunks)
        assert service_ns.shape == (9,)
        assert (service_ns > 0).all()
        return outputs

    with connect(board) as session:
        found = streamed(session)
    with connect(local_board.board) as session:
        expected = streamed(session)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6)


def test_paced_streams_answer_as_those_of_the_python_server(
    board: Board, local_board: LocalBoard, stateful_package: Package
) -> None:
    """Three streams at once, each with a state of its own; the chunks come twice."""
    chunks = {"chunk": np.random.default_rng(3).normal(size=(9, 1, 4)).astype(np.float32)}
    pace = Pace(period_ns=3_000_000, streams=3, count=18, keep=12, skip=False, max_s=20.0)

    def paced(board: Board) -> tuple[NDArray[np.int64], dict[str, Any]]:
        with connect(board) as session:
            session.open(stateful_package.data, 1)
            began_ns, ended_ns, outputs = session.pace(chunks, pace)
            with pytest.raises(BoardError, match="no streams can be paced so"):
                session.pace(chunks, replace(pace, keep=19))
            with pytest.raises(BoardMemoryError, match="too little memory"):
                session.pace(chunks, replace(pace, streams=1 << 19, count=1 << 30))
            with pytest.raises(InputError, match="input 'chunk' is float32"):
                session.pace({"chunk": chunks["chunk"][0]}, pace)
        assert (ended_ns > began_ns).all()
        return began_ns, outputs

    found_ns, found = paced(board)
    expected_ns, expected = paced(local_board.board)
    # No chunk begins before it is complete: streams are spread over the period.
    complete_ns = np.arange(1, 19)[:, None] * 3_000_000 + np.arange(3) * 1_000_000
    assert (found_ns >= complete_ns).all()
    assert (expected_ns >= complete_ns).all()
    offline = np.concatenate([chunks["chunk"]] * 2).astype(np.float64).cumsum(axis=0)[:12] * 2
    for outputs in (found, expected):
        assert list(outputs) == ["doubled"]
        assert outputs["doubled"].shape == (3, 12, 1, 4)
        for stream in outputs["doubled"]:
            np.testing.assert_allclose(stream, offline, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["doubled"], expected["doubled"], rtol=1e-6)


def test_frames_are_left_out_where_the_next_one_came(
    board: Board, local_board: LocalBoard, tiny_package: Package
) -> None:
    """A microsecond from frame to frame, which nothing keeps up with: the last is always run."""
    frames = {name: array[np.newaxis] for name, array in tiny_package.sample_inputs.items()}
    pace = Pace(period_ns=1000, streams=1, count=3000, keep=3000, skip=True, max_s=20.0)
    for each in (board, local_board.board):
        with connect(each) as session:
            session.open(tiny_package.data, 1)
            began_ns, ended_ns, outputs = session.pace(frames, pace)
            queued_ns, _, _ = session.pace(frames, replace(pace, skip=False, keep=0))
            late_ns, _, _ = session.pace(frames, replace(pace, skip=False, keep=0, max_s=0.0))
        ran = began_ns[:, 0] >= 0
        assert 0 < ran.sum() < 3000
        assert ran[-1]
        np.testing.assert_array_equal(ran, ended_ns[:, 0] > 0)
        scores = outputs["scores"][0]
        assert agree(tiny_package, {"scores": scores[-1]})
        assert not scores[~ran].any()
        assert (queued_ns >= 0).all()
        assert (late_ns >= 0).sum() < 3000


def test_timed_runs_stop_at_the_limit(board: Board, tiny_package: Package) -> None:
    with connect(board) as session:
        session.open(tiny_package.data, 1)
        assert len(session.time_runs(5, 60.0, tiny_package.sample_inputs)) == 5
        many = session.time_runs(10**9, 0.2)
    assert 100 < len(many) < 10**8
    assert (many > 0).all()


def test_runs_share_fewer_threads_where_that_is_asked(board: Board, tmp_path: Path) -> None:
    package = packaged(write_shared(tmp_path / "shared.onnx"))
    with connect(board) as session:
        opened = session.open(package.data, None)
        for threads in (1, opened.threads, None, 64):
            times_ns = session.time_runs(5, 20.0, package.sample_inputs, threads=threads)
            assert (times_ns > 0).all()
            assert agree(package, session.run(package.sample_inputs)[1])


def test_metaschedule_s_runner_measures_a_candidate(board: Board, tmp_path: Path) -> None:
    from tvm.s_tir.meta_schedule import arg_info
    from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, RPCConfig, RPCRunner, RunnerInput

    tracker = board.tracker
    assert tracker is not None
    candidate = tmp_path / "candidate.so"
    candidate.write_bytes(kernels("x86_64", names={"wave": "main"}))
    tensors = [arg_info.TensorInfo("float32", (1024,)) for _ in range(2)]
    runner = RPCRunner(
        RPCConfig(tracker.host, tracker.port, board.key, session_timeout_sec=20),
        EvaluatorConfig(number=2, repeat=3, min_repeat_ms=1, enable_cpu_cache_flush=True),
        max_workers=1,
    )
    inputs = [RunnerInput(str(candidate), "cpu", tensors) for _ in range(2)]
    for future in runner.run(inputs):
        result = future.result()
        assert result.error_msg is None
        assert len(result.run_secs) == 3
        assert all(float(one) > 0 for one in result.run_secs)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_is_refused(board: Board, tiny_package: Package, damage: str) -> None:
    sent = DAMAGES[damage](tiny_package.data)
    with connect(board) as session:
        with pytest.raises(PackageError) as caught:
            session.open(sent, None)
        assert caught.value.mend
        assert "model.edgetvm" not in str(caught.value)
        with pytest.raises(PackageError, match="no package is open"):
            session.run(tiny_package.sample_inputs)
        assert session.open(tiny_package.data, None)


def test_a_package_for_another_architecture_is_refused(board: Board, tiny_onnx: Path) -> None:
    foreign = packaged(tiny_onnx, profile="rpi4")
    with (
        connect(board) as session,
        pytest.raises(PackageError, match=r"compiled for aarch64.*this machine is x86_64"),
    ):
        session.open(foreign.data, None)


def test_wrong_inputs_are_refused_in_the_python_server_s_words(
    board: Board, local_board: LocalBoard, tiny_package: Package
) -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"picture": np.zeros((1, 3, 8, 8), np.float32)},
        {"image": np.zeros((1, 3, 8, 9), np.float32)},
        {"image": np.zeros((1, 3, 8, 8), np.float64)},
        {"image": np.zeros((1, 3, 8), np.float32)},
    ]

    def said(board: Board) -> list[str]:
        words = []
        with connect(board) as session:
            session.open(tiny_package.data, None)
            for inputs in wrong:
                with pytest.raises(InputError) as caught:
                    session.run(inputs)
                words.append(str(caught.value).partition(": ")[2])
            assert agree(tiny_package, session.run(tiny_package.sample_inputs)[1])
        return words

    assert said(board) == said(local_board.board)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        (signal.SIGSEGV, BoardCrashError, "code died while timing the model (SIGSEGV)"),
        (signal.SIGKILL, BoardMemoryError, "killed while timing the model (SIGKILL)"),
    ],
)
def test_a_session_that_dies_is_told_by_its_signal(
    how: signal.Signals,
    kind: type[Exception],
    words: str,
    served: tuple[Board, int],
    tiny_package: Package,
) -> None:
    board, server = served
    with connect(board) as session:
        session.open(tiny_package.data, None)
        (process,) = psutil.Process(server).children()
        killing = threading.Timer(0.5, lambda: process.send_signal(how))
        killing.start()
        with pytest.raises(kind) as caught:
            session.time_runs(10**9, 30.0)
        killing.join()
    assert words in str(caught.value)
    with connect(board) as session:
        assert session.facts()["last_exit_code"] is None


def test_kernels_get_cores_of_their_own(board: Board) -> None:
    with connect(board) as session:
        header, _ = session._ask("threads", {}, b"", 10.0)
    assert header == {"threads": len(os.sched_getaffinity(0))}


@pytest.fixture
def inventory(board: Board, isolated_home: Path) -> Path:
    """The user's inventory with the board in it."""
    path = isolated_home / ".config" / "edgetvm" / "boards.yaml"
    path.parent.mkdir(parents=True)
    entry = {"profile": "local", "tracker": str(board.tracker), "key": board.key}
    path.write_text(json.dumps({"boards": {"mine": entry}}))
    return path


def test_bench_and_tune_work_with_a_board_of_the_inventory(
    inventory: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    done = edgetvm("bench", tiny_onnx, "--device", "mine", "--runs", "20", "--json")
    assert done.code == 0, done.err
    assert done.is_clean()
    measured = done.document
    assert "mine" in json.dumps(measured)
    database = tmp_path / "trials.db"
    tuned = edgetvm(
        "tune", tiny_onnx, "--device", "mine", "--trials", "4", "--database", database, "--json"
    )
    assert tuned.code == 0, tuned.err
    assert sum(tuned.document["outcomes"].values()) == 4
    assert tuned.document["outcomes"].get("ok", 0) > 0
