"""Boards and trackers that fail: the right error, in a clear sentence, in bounded time."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from real_board import DAMAGES, alive, group, packaged, session_process, within

from edgetvm.base.errors import (
    BoardBusyError,
    BoardCrashError,
    BoardError,
    BoardGoneError,
    BoardMemoryError,
    BoardTimeoutError,
    EdgetvmError,
    InputError,
    PackageError,
    TrackerUnreachableError,
)
from edgetvm.farm import (
    Address,
    Board,
    BoardSession,
    LocalBoard,
    connect,
    request_board,
    standing,
    tracker_summary,
)
from edgetvm.farm import session as sessions
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login
from edgetvm.farm.inventory_file import Limits
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board

MAGIC = struct.pack("<i", 0x2F271)
REQUEST = 4
# More than a second has room for: each takes 0.1 s, and the next comes 0.3 s after it.
ENOUGH = 20


def in_mid_run(session: BoardSession, deed: Callable[[], object]) -> None:
    """Time runs without end, while `deed` is done from another thread."""
    doer = threading.Timer(0.5, deed)
    doer.start()
    try:
        session.time_runs(10**9, 30.0)
    finally:
        doer.join()


def is_a_clear_sentence(error: EdgetvmError) -> bool:
    """One line that names the board or tracker and the mend, without anything of Python's."""
    text = str(error)
    return "\n" not in text and bool(error.where) and bool(error.mend) and "Traceback" not in text


def test_a_server_killed_in_mid_run_is_gone_and_its_session_with_it(
    fresh_board: LocalBoard, tiny_package: Package
) -> None:
    began_s = time.monotonic()
    with connect(fresh_board.board) as session:
        session.open(tiny_package.data, None)
        process = session_process(fresh_board)
        with pytest.raises(BoardGoneError, match=r"broke while timing the model.*power") as caught:
            in_mid_run(session, fresh_board.processes["server"].kill)
    assert not alive(process.pid)
    assert is_a_clear_sentence(caught.value)
    assert time.monotonic() - began_s < 20


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        (signal.SIGSEGV, BoardCrashError, "code died while timing the model (SIGSEGV)"),
        (signal.SIGILL, BoardCrashError, "code died while timing the model (SIGILL)"),
        (signal.SIGKILL, BoardMemoryError, "killed while timing the model (SIGKILL)"),
    ],
)
def test_a_session_that_dies_is_told_by_its_signal_and_the_next_one_works(
    local_board: LocalBoard,
    tiny_package: Package,
    how: signal.Signals,
    kind: type[BoardError],
    words: str,
) -> None:
    began_s = time.monotonic()
    with connect(local_board.board) as session:
        session.open(tiny_package.data, None)
        process = session_process(local_board)
        with pytest.raises(kind) as caught:
            in_mid_run(session, lambda: process.send_signal(how))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert is_a_clear_sentence(caught.value)
    with connect(local_board.board) as session:
        session.open(tiny_package.data, None)
        _, answers = session.run(tiny_package.sample_inputs)
    np.testing.assert_allclose(
        answers["scores"], tiny_package.sample_outputs["scores"], rtol=1e-4, atol=1e-5
    )
    assert time.monotonic() - began_s < 20


def test_the_end_of_a_session_is_told_to_the_next_one_alone(local_board: LocalBoard) -> None:
    def told() -> object:
        with connect(local_board.board) as session:
            return session.facts()["last_exit_code"]

    with connect(local_board.board) as session:
        session_process(local_board).kill()
        with pytest.raises(BoardMemoryError):
            session.facts()
    # The session that asked what had happened was the next one, and ended well.
    assert [told(), told()] == [None, None]


def test_a_code_that_crashes_while_it_is_opened_is_told(
    local_board: LocalBoard, tiny_package: Package
) -> None:
    with connect(local_board.board) as session:
        process = session_process(local_board)
        process.suspend()
        stopper = threading.Timer(0.3, lambda: process.send_signal(signal.SIGSEGV))
        waker = threading.Timer(0.6, process.resume)
        stopper.start(), waker.start()
        with pytest.raises(BoardCrashError, match="SIGSEGV"):
            session.open(tiny_package.data, None)
        waker.join()
    with connect(local_board.board) as session:
        assert session.open(tiny_package.data, None)


def test_a_frozen_session_is_given_up_at_the_deadline_and_the_board_recovers(
    local_board: LocalBoard, tiny_package: Package
) -> None:
    with connect(local_board.board) as session:
        session.open(tiny_package.data, None)
        process = session_process(local_board)
        process.suspend()
        began_s = time.monotonic()
        with pytest.raises(
            BoardTimeoutError, match=r"did not answer within 1\.5 s while running the model.*frozen"
        ) as caught:
            session.run(tiny_package.sample_inputs, deadline_s=1.5)
        assert 1.4 < time.monotonic() - began_s < 4
    assert is_a_clear_sentence(caught.value)
    process.resume()
    with connect(local_board.board) as session:
        session.open(tiny_package.data, None)
        assert session.run(tiny_package.sample_inputs)[1].keys() == {"scores"}


def test_a_tracker_killed_in_mid_session_is_noticed_at_the_next_connection(
    fresh_board: LocalBoard, tiny_package: Package
) -> None:
    with connect(fresh_board.board) as session:
        session.open(tiny_package.data, None)
        fresh_board.processes["tracker"].kill()
        fresh_board.processes["tracker"].wait()
        # The session has its own connection and goes on.
        assert session.run(tiny_package.sample_inputs)[1].keys() == {"scores"}
    began_s = time.monotonic()
    with (
        pytest.raises(
            TrackerUnreachableError, match=r"does not answer.*refused.*start it"
        ) as caught,
        connect(fresh_board.board),
    ):
        pass
    assert is_a_clear_sentence(caught.value)
    assert caught.value.where == str(fresh_board.tracker)
    assert time.monotonic() - began_s < 10


def test_a_crash_while_the_tracker_is_away_still_ends_in_bounded_time(
    fresh_board: LocalBoard, tiny_package: Package
) -> None:
    with connect(fresh_board.board) as session:
        session.open(tiny_package.data, None)
        process = session_process(fresh_board)
        fresh_board.processes["tracker"].kill()
        fresh_board.processes["tracker"].wait()
        began_s = time.monotonic()
        with pytest.raises(BoardGoneError):
            in_mid_run(session, lambda: process.send_signal(signal.SIGSEGV))
    assert time.monotonic() - began_s < 20


@contextmanager
def speaking(answer: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A TCP server whose every connection is handled by `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=quietly, args=(connection,), daemon=True).start()

    def quietly(connection: socket.socket) -> None:
        try:
            answer(connection)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Address("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            connection.close()
        thread.join(5)


def after_the_magic(answer: bytes) -> Callable[[socket.socket], None]:
    """What a tracker does up to its first answer, and then these bytes, and silence."""

    def speak(connection: socket.socket) -> None:
        assert connection.recv(4) == MAGIC
        connection.sendall(MAGIC)
        connection.recv(65536)
        connection.sendall(answer)

    return speak


def message(document: object) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack("<i", len(text)) + text


def as_a_web_server(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


HOSTILE: dict[str, Callable[[socket.socket], None]] = {
    "silent": lambda connection: None,
    "closes at once": lambda connection: connection.close(),
    "a web server": as_a_web_server,
    "half a magic": lambda connection: connection.sendall(MAGIC[:2]),
    "silent after the magic": after_the_magic(b""),
    "huge length": after_the_magic(struct.pack("<i", 2**31 - 1) + b"x" * 100),
    "negative length": after_the_magic(struct.pack("<i", -5) + b"x" * 100),
    "empty": after_the_magic(struct.pack("<i", 0)),
    "not JSON": after_the_magic(struct.pack("<i", 3) + b"{[("),
    "not UTF-8": after_the_magic(struct.pack("<i", 4) + b"\xff\xfe\x00\x80"),
    "nested without end": after_the_magic(struct.pack("<i", 200_000) + b"[" * 200_000),
    "a number": after_the_magic(message(5)),
    "null": after_the_magic(message(None)),
    "a list too short": after_the_magic(message([0])),
    "a mapping": after_the_magic(message({"a": 1, "b": 2})),
    "a code of failure": after_the_magic(message([-1, {}])),
    "servers that are none": after_the_magic(message([0, {"server_info": [1, None]}])),
    "servers as a number": after_the_magic(message([0, {"server_info": 7}])),
    "a summary as a list": after_the_magic(message([0, [1, 2]])),
    "an address without a port": after_the_magic(message([0, ["127.0.0.1", "x", "key"]])),
    "a port that is none": after_the_magic(message([0, ["127.0.0.1", 70000, "key"]])),
    "an address as null": after_the_magic(message([0, None])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_no_tracker_is_unreachable_in_time(name: str) -> None:
    with speaking(HOSTILE[name]) as address:
        for ask in (
            lambda: registered_keys(address, 0.5),
            lambda: request_board(address, "any", 0.5),
        ):
            began_s = time.monotonic()
            with pytest.raises(TrackerUnreachableError) as caught:
                ask()
            assert is_a_clear_sentence(caught.value)
            assert caught.value.where == str(address)
            assert str(caught.value).count(str(address)) == 1
            assert time.monotonic() - began_s < 8


def test_an_answer_that_drips_does_not_stretch_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        assert connection.recv(4) == MAGIC
        connection.sendall(MAGIC)
        while True:
            connection.sendall(b"\x01")
            time.sleep(0.2)

    with speaking(drip) as address:
        began_s = time.monotonic()
        with pytest.raises(TrackerUnreachableError):
            tracker_summary(address, 1.0)
        assert time.monotonic() - began_s < 3


def test_a_board_without_a_server_is_not_taken_for_this_machine() -> None:
    board = Board("far", "rpi4", login=Login(Hop("127.0.0.1", 1)))
    for way, words in ((standing, "no SSH server listens"), (connect, "is not reached yet")):
        with pytest.raises(BoardError, match=f"board far: .*{words}"), way(board):
            pytest.fail("it has no server")


def test_a_session_ends_with_the_boards_limit(local_board: LocalBoard) -> None:
    board = replace(local_board.board, limits=Limits(time="1s"))
    with connect(board) as session:
        session.facts()
        with pytest.raises(BoardError):
            while True:
                session.facts()
                time.sleep(0.2)
    with connect(local_board.board) as session:  # and the next one is served
        session.facts()


def test_a_board_that_hangs_up_on_each_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "_RETURN_DEADLINE_S", 1.0)
    requests = []

    def hang_up(connection: socket.socket) -> None:
        connection.recv(4)
        time.sleep(0.1)
        connection.shutdown(socket.SHUT_RDWR)

    with speaking(hang_up) as server:

        def track(connection: socket.socket) -> None:
            assert connection.recv(4) == MAGIC
            connection.sendall(MAGIC)
            (size_bytes,) = struct.unpack("<i", connection.recv(4))
            asked = json.loads(connection.recv(size_bytes))
            answer: object = {"server_info": [{"key": "server:k"}]}
            if asked[0] == REQUEST:
                requests.append(asked)
                if len(requests) > ENOUGH:
                    return
                answer = [server.host, server.port, "k:1"]
            connection.sendall(message([0, answer]))

        with (
            speaking(track) as tracker,
            pytest.raises(BoardGoneError, match="the connection broke while connecting"),
            connect(Board("b", "x86-64-v3", tracker, "k")),
        ):
            pass
    assert 1 < len(requests) <= ENOUGH


def test_a_silent_port_is_given_up_long_before_the_wait_for_a_free_board() -> None:
    board = Board("far", "rpi4", Address("127.0.0.1", 1), "rpi4")
    with speaking(HOSTILE["silent"]) as address:
        began_s = time.monotonic()
        with (
            pytest.raises(TrackerUnreachableError, match="no answer in time"),
            connect(replace(board, tracker=address)),
        ):
            pass
        assert time.monotonic() - began_s < 15


def test_a_host_without_a_name_is_unreachable() -> None:
    with pytest.raises(TrackerUnreachableError, match="does not answer") as caught:
        tracker_summary(Address("no-such-host.invalid", 9190), 5.0)
    assert is_a_clear_sentence(caught.value)


def test_no_free_board_names_those_that_are_registered(local_board: LocalBoard) -> None:
    began_s = time.monotonic()
    with pytest.raises(BoardBusyError) as caught:
        request_board(local_board.tracker, "rpi9", 1.0)
    assert f"registered now: {local_board.key}" in str(caught.value)
    assert "'rpi9' became free within 1 s" in str(caught.value)
    assert is_a_clear_sentence(caught.value)
    assert time.monotonic() - began_s < 5


def test_a_board_in_use_is_busy_and_free_when_its_session_ends(local_board: LocalBoard) -> None:
    with connect(local_board.board), pytest.raises(BoardBusyError):
        request_board(local_board.tracker, local_board.key, 1.0)
    with connect(local_board.board) as session:
        assert session.facts()


def test_a_session_waits_for_a_board_in_use(local_board: LocalBoard, tiny_package: Package) -> None:
    order = []

    def second() -> None:
        with connect(local_board.board) as session:
            session.facts()
            order.append("second")

    with connect(local_board.board) as session:
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.5)
        session.open(tiny_package.data, None)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]


@pytest.fixture
def stock_server(local_board: LocalBoard) -> Iterator[Board]:
    """TVM's own RPC server, as `python -m tvm.exec.rpc_server` starts it."""
    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--key", "stock", "--host", "127.0.0.1"]
    command += ["--port", "29090", "--port-end", "29190", "--tracker", str(local_board.tracker)]
    with subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert within(30, lambda: "stock" in registered_keys(local_board.tracker))
            yield Board("stock", "local", local_board.tracker, "stock")
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_stock_server_is_told_from_edgetvm_s(stock_server: Board, tiny_package: Package) -> None:
    with (
        pytest.raises(BoardError, match=r"not edgetvm's.*edgetvm\.farm\.server") as caught,
        connect(stock_server) as session,
    ):
        session.facts()
    assert is_a_clear_sentence(caught.value)
    with (
        pytest.raises(BoardError, match="not edgetvm's"),
        connect(stock_server) as session,
    ):
        session.open(tiny_package.data, None)


def test_a_package_for_another_architecture_is_refused_by_the_board(
    board: Board, tiny_onnx: Path, tiny_package: Package
) -> None:
    foreign = packaged(tiny_onnx, profile="rpi4")
    assert foreign.manifest.targets[0].architecture == "aarch64"
    with connect(board) as session:
        with pytest.raises(PackageError, match=r"compiled for aarch64 \(rpi4\).*this machine is"):
            session.open(foreign.data, None)
        # The session lives on.
        session.open(tiny_package.data, None)
        assert session.run(tiny_package.sample_inputs)[1].keys() == {"scores"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_package_is_refused_by_the_board(
    board: Board, tiny_package: Package, damage: str
) -> None:
    sent = DAMAGES[damage](tiny_package.data)
    with connect(board) as session:
        with pytest.raises(PackageError) as caught:
            session.open(sent, None)
        assert is_a_clear_sentence(caught.value)
        with pytest.raises(PackageError, match="no package is open"):
            session.run(tiny_package.sample_inputs)
        assert session.open(tiny_package.data, None)


def test_wrong_inputs_are_refused_by_the_board(board: Board, tiny_package: Package) -> None:
    with connect(board) as session:
        session.open(tiny_package.data, None)
        for inputs in (
            {},
            {"picture": np.zeros((1, 3, 8, 8), np.float32)},
            {"image": np.zeros((1, 3, 8, 9), np.float32)},
            {"image": np.zeros((1, 3, 8, 8), np.float64)},
        ):
            with pytest.raises(InputError) as caught:
                session.run(inputs)
            assert "image" in str(caught.value)
        assert session.run(tiny_package.sample_inputs)[1].keys() == {"scores"}


def test_a_closed_session_can_be_closed_again(board: Board) -> None:
    with connect(board) as session:
        session.close()
    with connect(board) as session:
        assert session.facts()


GARBAGE = {
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "an empty key": struct.pack("<ii", 0xFF271, 0),
    "a negative length": struct.pack("<ii", 0xFF271, -7) + b"abc",
    "a key that is no text": struct.pack("<ii", 0xFF271, 4) + b"\xff\xfe\xfd\xfc",
    "another's key": struct.pack("<ii", 0xFF271, 10) + b"client:abc",
    "two bytes": b"ab",
    "nothing": b"",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_stranger_at_the_server_s_port_does_not_end_it(
    local_board: LocalBoard, name: str
) -> None:
    server = psutil.Process(local_board.processes["server"].pid)
    (port,) = [
        entry.laddr.port for entry in server.net_connections("tcp") if entry.status == "LISTEN"
    ]
    with socket.create_connection(("127.0.0.1", port), 5) as stranger:
        stranger.sendall(GARBAGE[name])
    # The server may have to register anew.
    time.sleep(1)
    with connect(local_board.board) as session:
        assert session.facts()["cores"] > 0
    assert local_board.processes["server"].poll() is None
    assert len(group(server.pid)) >= 1
