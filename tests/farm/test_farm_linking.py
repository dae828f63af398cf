"""Boards elsewhere: reached over SSH, linked to a tracker here, and what may befall that way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from far_board import FarBoard, far_board
from program_board import ARCHITECTURES, kernels, serving
from real_board import within
from rpc_conversation import conversation

from edgetvm.base.errors import (
    BoardBusyError,
    BoardError,
    BoardNotProvisionedError,
    BoardTimeoutError,
    BoardUnreachableError,
    ConfigurationError,
    EdgetvmError,
)
from edgetvm.base.steps import StepEvent, listening
from edgetvm.base.version import __version__
from edgetvm.farm import Address, Board, BoardSession, connect, request_board
from edgetvm.farm.asking import check_board
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.linking import all_linked, fault_of, linked
from edgetvm.farm.local import own_tracker
from edgetvm.farm.registrar import Offer, Registrar
from edgetvm.farm.ssh import Deadlines
from edgetvm.farm.standing_boards import standing
from edgetvm.farm.tracker_client import registered_keys, tracker_summary
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board

# A pulled cable is noticed in the time of a test.
SHORT = Deadlines(silence_s=2.0, connect_s=2.0, proof_s=1.0)
# Of the conversation; longer than what goes through a tunnel in one part.
LONG_BYTES = (1 << 20) + 5


@pytest.fixture(scope="module")
def tracker() -> Iterator[Address]:
    """A tracker that the tests share."""
    with own_tracker() as address:
        assert within(60, lambda: _greets(address))
        yield address


def _greets(tracker: Address) -> bool:
    try:
        tracker_summary(tracker)
    except EdgetvmError:
        return False
    return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that does not come back is not waited for long."""
    monkeypatch.setattr("edgetvm.farm.session._RETURN_DEADLINE_S", 3.0)


@pytest.fixture
def far(tmp_path: Path, session_cache: Path) -> Iterator[FarBoard]:
    """A provisioned board that the test may break."""
    with far_board(tmp_path / "far") as board:
        yield board


@contextmanager
def opened(far: FarBoard, tracker: Address) -> Iterator[Board]:
    """A link that notices a pulled cable soon."""
    with linked(far.board(), tracker=tracker, deadlines=SHORT) as board:
        yield board


def works(board: Board, package: Package) -> bool:
    """Whether a session runs a package there, with the right answers."""
    with connect(board) as session:
        found = session.open(package.data, None).outputs
    return all(np.allclose(found[name], one) for name, one in package.sample_outputs.items())


def how_a_bench_ends(board: Board, package: Package, meanwhile: Callable[[], None]) -> str:
    """Run a package over and over, until something that befalls the board ends it."""
    with connect(board) as session:
        session.open(package.data, 1)
        threading.Timer(0.3, meanwhile).start()
        with pytest.raises(BoardError) as caught:
            for _ in range(100):
                session.time_runs(10**9, 1.0, deadline_s=3.0)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_sessions_one_after_the_other(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    with linked(far.board(), tracker=tracker) as board:
        assert (board.tracker, board.key) == (tracker, far.name)
        assert all(works(board, tiny_package) for _ in range(5))
    assert within(3, lambda: far.name not in registered_keys(tracker))
    assert within(3, lambda: not far.sessions())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_stock_client_gets_the_same_answers_over_the_link(
    architecture: str, tmp_path: Path, session_cache: Path, tracker: Address
) -> None:
    from tvm import rpc

    library = kernels(architecture)
    with serving(architecture) as here:
        expected = conversation(here.connect(), library, LONG_BYTES)
    with (
        far_board(tmp_path / "far", architecture) as far,
        linked(far.board(key="shelf"), tracker=tracker),
    ):
        remote = rpc.connect_tracker(tracker.host, tracker.port).request(
            "shelf", session_timeout=60
        )
        assert conversation(remote, library, LONG_BYTES) == expected


def test_metaschedule_s_runner_measures_over_the_link(
    far: FarBoard, tracker: Address, tmp_path: Path
) -> None:
    from tvm.s_tir.meta_schedule import arg_info
    from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, RPCConfig, RPCRunner, RunnerInput

    candidate = tmp_path / "candidate.so"
    candidate.write_bytes(kernels("x86_64", names={"wave": "main"}))
    tensors = [arg_info.TensorInfo("float32", (1024,)) for _ in range(2)]
    with linked(far.board(), tracker=tracker) as board:
        runner = RPCRunner(
            RPCConfig(tracker.host, tracker.port, board.key, session_timeout_sec=20),
            EvaluatorConfig(number=2, repeat=3, min_repeat_ms=1, enable_cpu_cache_flush=True),
            max_workers=1,
        )
        for future in runner.run([RunnerInput(str(candidate), "cpu", tensors)] * 2):
            result = future.result()
            assert result.error_msg is None
            assert len(result.run_secs) == 3


# --- What may befall it ---------------------------------------------------------------------------


def test_a_cable_that_is_pulled_and_put_back(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    with opened(far, tracker) as board:
        told = how_a_bench_ends(board, tiny_package, lambda: far.plug("down"))
        assert "the connection broke while timing the model, and it did not come back" in told
        assert within(5, lambda: isinstance(fault_of(board), BoardUnreachableError))
        assert far.name not in registered_keys(tracker)
        # The board has heard nothing: it still believes in its client.
        assert len(far.sessions()) == 1
        far.plug("up")
        assert within(20, lambda: fault_of(board) is None)
        assert works(board, tiny_package)
        assert within(3, lambda: not far.sessions())


def test_an_sshd_that_is_started_anew(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    def restart() -> None:
        far.sshd.stop()
        far.sshd.start()

    with linked(far.board(), tracker=tracker) as board:
        told = how_a_bench_ends(board, tiny_package, restart)
        assert told.startswith("BoardGoneError")
        assert "the connection broke while timing the model, and it is back" in told
        assert works(board, tiny_package)


def test_a_server_that_is_killed_and_comes_back(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    with opened(far, tracker) as board:
        told = how_a_bench_ends(board, tiny_package, far.stop_server)
        assert "the connection broke while timing the model, and it did not come back" in told
        assert "its server does not run" in told
        assert within(5, lambda: far.name not in registered_keys(tracker))
        far.start_server()
        assert within(10, lambda: fault_of(board) is None)
        assert works(board, tiny_package)


def test_a_server_that_is_frozen(far: FarBoard, tracker: Address, tiny_package: Package) -> None:
    with opened(far, tracker) as board:
        told = how_a_bench_ends(board, tiny_package, lambda: far.signal_server(signal.SIGSTOP))
        assert told.startswith("BoardTimeoutError")
        assert "the board did not answer within" in told
        far.signal_server(signal.SIGCONT)
        assert works(board, tiny_package)


def test_why_a_board_cannot_be_had_is_told(far: FarBoard, tracker: Address) -> None:
    with opened(far, tracker) as board:
        far.signal_server(signal.SIGSTOP)
        assert within(15, lambda: fault_of(board) is not None)
        with pytest.raises(BoardTimeoutError, match="accepts connections and did not answer"):
            BoardSession(board)._connect(1.0)


def test_a_key_that_was_given_to_somebody_else(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    """The one who had the board before is not let in any more, and hears why."""
    with opened(far, tracker) as board:
        far.stop_server()
        far.provision()
        far.start_server()
        far.sshd.kill_sessions()
        assert within(10, lambda: "another key now" in str(fault_of(board)))
        assert far.name not in registered_keys(tracker)
    with linked(far.board(), tracker=tracker) as board:
        assert works(board, tiny_package)


def test_a_client_that_was_given_the_key_and_does_not_come(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    with linked(far.board(), tracker=tracker) as board:
        request_board(tracker, board.key, 5.0)
        with pytest.raises(BoardBusyError):
            request_board(tracker, board.key, 0.5)
        assert works(board, tiny_package)


def test_a_board_in_use_is_not_offered(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    with linked(far.board(), tracker=tracker) as board:
        with connect(board) as session:
            session.open(tiny_package.data, 1)
            time.sleep(4)  # longer than a client that was given the key may take to come
            with pytest.raises(BoardBusyError):
                request_board(tracker, board.key, 0.2)
        assert works(board, tiny_package)


def test_nothing_is_leaked(far: FarBoard, tiny_package: Package) -> None:
    me = psutil.Process()

    def held() -> tuple[int, int, int]:
        return me.num_fds(), threading.active_count(), len(me.children())

    def once() -> None:
        with standing(far.board()) as board:
            assert works(board, tiny_package)

    once()
    assert within(5, lambda: not [one for one in threading.enumerate() if "far" in one.name])
    before = held()
    for _ in range(2):
        once()
    assert within(5, lambda: all(map(int.__le__, held(), before))), (before, held())
    assert within(3, lambda: not far.sessions())


# --- What is told before anything begins ----------------------------------------------------------


def faults(far: FarBoard) -> dict[str, tuple[Callable[[], Any], type[BoardError], str]]:
    """What may be wrong with a board, by a word: how it comes to be, and what is told."""
    program, key = far.path(LAYOUT.program), far.path(LAYOUT.key_file)
    name = far.name
    return {
        "bare": (
            program.unlink,
            BoardNotProvisionedError,
            f"edgetvm's program is not there (provision it: edgetvm provision {name})",
        ),
        "keyless": (
            key.unlink,
            BoardNotProvisionedError,
            "the key of its server is not there, or this account may not read it",
        ),
        "old": (
            lambda: far.provision("0.0.9"),
            BoardError,
            f"its program is edgetvm 0.0.9, and this is edgetvm {__version__} "
            f"(bring it this one's: edgetvm provision {name}; or start such a server there)",
        ),
        "damaged": (
            lambda: program.write_bytes(b"\x7fELF"),
            BoardError,
            "edgetvm's program does not run there",
        ),
        "odd": (
            lambda: program.write_text("#!/bin/sh\necho something else\n"),
            BoardError,
            "it does not greet as a provisioned board does",
        ),
        "down": (
            far.stop_server,
            BoardError,
            "its server does not run: nothing answers at 127.0.0.1:9090 there",
        ),
    }


@pytest.mark.parametrize("word", ["bare", "keyless", "old", "damaged", "odd", "down"])
def test_a_board_that_is_not_ready_is_told_in_one_sentence(
    word: str, far: FarBoard, tracker: Address
) -> None:
    befall, kind, words = faults(far)[word]
    befall()
    with pytest.raises(kind) as caught, linked(far.board(), tracker=tracker):
        pass
    assert str(caught.value).startswith(f"board {far.name}: {words}")
    assert f"edgetvm provision {far.name}" in str(caught.value)
    checked = check_board(far.board())
    assert checked.findings[-1].startswith(words.partition(" (")[0])
    assert checked.state == ("odd" if kind is BoardNotProvisionedError else "failed")


def test_a_stranger_at_the_server_s_port(far: FarBoard, tracker: Address) -> None:
    board = far.board(server_port=far.sshd.port)
    far.sshd.stop()
    config = far.sshd.folder / "config"
    config.write_text(config.read_text() + f"ListenAddress 127.0.0.1:{far.sshd.port}\n")
    far.sshd.start()
    with (
        pytest.raises(BoardError, match=r"what answers at port .* there is not its server"),
        linked(board, tracker=tracker),
    ):
        pass


def test_an_sshd_without_tunnels(far: FarBoard, tracker: Address) -> None:
    far.sshd.stop()
    config = far.sshd.folder / "config"
    config.write_text(config.read_text() + "AllowTcpForwarding no\n")
    far.sshd.start()
    with (
        pytest.raises(BoardError, match=r"lets no tunnels through .*AllowTcpForwarding yes"),
        linked(far.board(), tracker=tracker),
    ):
        pass


def test_a_check_proves_the_server_by_a_session(far: FarBoard) -> None:
    assert check_board(far.board()).findings[-1:] == ()
    far.path(LAYOUT.key_file).write_text("0" * 32)
    checked = check_board(far.board())
    assert checked.state == "failed"
    assert "it refuses the key" in checked.findings[-1]


# --- Several --------------------------------------------------------------------------------------


def test_of_several_one_may_come_later(
    far: FarBoard, tracker: Address, tiny_package: Package
) -> None:
    far.stop_server()
    other = replace(far.board(), name="nowhere", server_port=1)
    heard: list[StepEvent] = []
    with (
        pytest.raises(BoardError, match="its server does not run"),
        all_linked([far.board(), other], tracker=tracker),
    ):
        pass
    with (
        far_board(far.files.parent / "second") as second,
        listening(heard.append),
        all_linked([far.board(), second.board()], tracker=tracker) as boards,
    ):
        assert [one.name for one in boards] == [far.name, second.name]
        (warned,) = [one.detail for one in heard if one.state == "warning"]
        assert "its server does not run" in warned
        assert works(boards[1], tiny_package)
        far.start_server()
        assert within(15, lambda: far.name in registered_keys(tracker))
        assert works(boards[0], tiny_package)


def test_a_key_file_that_went_costs_the_board_its_place_and_no_more() -> None:
    faults = [ConfigurationError("no such key file")]

    def prove() -> None:
        if faults:
            raise faults[0]

    with own_tracker() as tracker:
        registrar = Registrar(tracker, prove, "far")
        registrar.open(Offer("far", Address("127.0.0.1", 9), "secret"))
        assert within(5, lambda: registrar.fault is faults[0])
        faults.clear()
        assert registrar.wait(30)
        assert registrar.fault is None
        registrar.close()
