"""The C program on a board speaks TVM's RPC as TVM's own server does, on three architectures."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from program_board import ARCHITECTURES, ProgramBoard, kernels, program_command, serving
from real_board import within
from rpc_conversation import conversation, outcome

from edgetvm.base.errors import TrackerUnreachableError
from edgetvm.farm import Address, request_board, tracker_summary
from edgetvm.farm.listening import listening_socket
from edgetvm.farm.tracker_client import registered_keys

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def board() -> Iterator[ProgramBoard]:
    """One for tests that leave it whole."""
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def stock_answers() -> dict[str, Any]:
    """What the conversation gives with TVM's own server."""
    from tvm import rpc

    command = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--key", "stock"]
    with subprocess.Popen(
        [*command, "--port", "29190", "--port-end", "29290"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stderr is not None
        try:
            said = next(line for line in server.stderr if "bind to" in line)
            address = "127.0.0.1", int(said.rpartition(":")[2])
            # It says so a moment before it listens.
            assert within(5, lambda: socket.socket().connect_ex(address) == 0)
            return conversation(rpc.connect(*address, "stock"), kernels("x86_64"))
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_stock_client_gets_the_stock_server_s_answers(
    architecture: str, stock_answers: dict[str, Any]
) -> None:
    with serving(architecture) as board:
        answers = conversation(board.connect(), kernels(architecture))
        assert within(2, lambda: not list(board.folder.iterdir()))
    assert answers == stock_answers
    # They were no failures that both have in common.
    assert [value for value in answers.values() if value is False] == []


def test_a_library_of_the_system_s_linker_is_loaded(board: ProgramBoard) -> None:
    from tvm.runtime import empty, tensor
    from tvm.support.cc import create_shared

    remote = board.connect()
    remote.upload(bytearray(kernels("x86_64", create_shared)), "linked.so")
    d, e = np.linspace(-1, 1, 1024, dtype="float32"), empty((1024,), "float32", remote.cpu())
    remote.load_module("linked.so")["wave"](tensor(d, remote.cpu()), e)
    np.testing.assert_allclose(e.numpy(), np.tanh(d) + 1, atol=1e-5)


def test_files_are_listed(board: ProgramBoard) -> None:
    remote = board.connect()
    remote.upload(bytearray(b"1"), "one")
    remote.upload(bytearray(b"2"), "two")
    assert sorted(remote.listdir(".").split(",")) == ["one", "two"]


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".hidden", "a/b", "", "x" * 300])
def test_files_stay_in_the_session_s_folder(name: str, board: ProgramBoard) -> None:
    remote = board.connect()
    upload = remote.get_function("tvm.rpc.server.upload")
    assert outcome(lambda: upload(name, bytearray(b"x")))[0] == "RPCError"
    assert outcome(lambda: remote.download(name))[0] == "RPCError"
    assert remote.listdir(".") == ""


@pytest.mark.parametrize(
    ("architecture", "data", "words"),
    [
        ("aarch64", None, "not of the architecture"),
        ("x86_64", b"\x7fELF" + bytes(200), "not linked"),
        ("x86_64", b"!<arch>\n" + bytes(200), "no shared object"),
        ("x86_64", b"", "no shared object"),
    ],
)
def test_what_cannot_be_loaded_is_told(
    architecture: str, data: bytes | None, words: str, board: ProgramBoard
) -> None:
    remote = board.connect()
    remote.upload(bytearray(data if data is not None else kernels(architecture)), "strange.so")
    kind, said = outcome(lambda: remote.load_module("strange.so"))
    assert kind == "RPCError"
    assert words in said
    assert "strange.so" in said


def test_a_model_for_tvm_s_machine_is_refused(board: ProgramBoard) -> None:
    import tvm
    from tvm import relax

    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((4,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.add(x, x)))
    remote = board.connect()
    from edgetvm.compile.linker import linked, scratch_folder

    with scratch_folder() as folder:
        library = linked(tvm.compile(builder.get(), target="llvm"), folder)
    remote.upload(bytearray(library), "machine.so")
    kind, said = outcome(lambda: remote.load_module("machine.so"))
    assert (kind, "package the model with edgetvm" in said) == ("RPCError", True)


def test_a_name_may_stand_before_the_key(board: ProgramBoard) -> None:
    """A tracker finds the board of a key by what stands before its colon."""
    assert board.connect(f"any-name:{board.key}").cpu().exist
    for key in (f"{board.key}:any-name", f"any-name:{board.key}x", "any-name:"):
        assert "key" in refusal(board, key)


def refusal(board: ProgramBoard, key: str) -> str:
    """What the client says when it is not let in."""
    with pytest.raises(Exception, match="key") as caught:
        board.connect(key)
    return str(caught.value)


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Address]:
    """A stock tracker."""
    with listening_socket() as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        process = _tracker(listener.fileno())
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def knows(tracker: Address, key: str) -> bool:
    """Whether a board is registered; a tracker that is not up yet knows none."""
    with contextlib.suppress(TrackerUnreachableError):
        return key in registered_keys(tracker)
    return False


def _tracker(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgetvm.farm.tracker", "--fd", str(descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[descriptor],
        start_new_session=True,
    )


def test_a_board_registers_and_has_a_new_key_for_each_session(tracker: Address) -> None:
    with serving("x86_64", "--tracker", str(tracker), key="mine") as board:
        assert within(20, lambda: knows(tracker, "mine"))
        keys = []
        for _ in range(3):
            address, key = request_board(tracker, "mine", 5.0)
            assert address == Address("127.0.0.1", board.port)
            assert board.connect(key).cpu().exist
            keys.append(key)
        assert len(set(keys)) == 3
        assert all(len(key.removeprefix("mine:")) == 32 for key in keys)
        # Used ones, and the board's name, let nobody in.
        for key in (keys[0], keys[-1], "mine", "mine:"):
            assert "cannot find server that matches key" in refusal(board, key)
        queue = tracker_summary(tracker)["queue_info"]["mine"]
        assert queue["free"] == 1


def test_a_board_comes_back_to_a_tracker_that_was_away() -> None:
    with listening_socket() as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        first = _tracker(listener.fileno())
        with serving("x86_64", "--tracker", str(address), key="mine") as board:
            assert within(20, lambda: knows(address, "mine"))
            _, key = request_board(address, "mine", 5.0)
            remote = board.connect(key)
            first.kill()
            first.wait()
            # A session goes on without it, and its board is known to the next one all the same.
            assert remote.cpu().exist
            second = _tracker(listener.fileno())
            try:
                assert within(20, lambda: knows(address, "mine"))
                assert outcome(lambda: request_board(address, "mine", 0.5))[0] == "BoardBusyError"
                del remote
                _, key = request_board(address, "mine", 5.0)
                assert board.connect(key).cpu().exist
            finally:
                second.kill()
                second.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_ended_takes_its_sessions_along(how: signal.Signals) -> None:
    with serving() as board:
        remote = board.connect()
        remote.upload(bytearray(b"1"), "one")
        (session,) = board.sessions()
        board.process.send_signal(how)
        assert board.process.wait(10) == 0
        assert not session.is_running()
        assert list(board.folder.iterdir()) == []


def test_the_sessions_of_a_server_that_was_killed_end() -> None:
    with serving() as board:
        remote = board.connect()
        (session,) = board.sessions()
        board.process.kill()
        assert within(5, lambda: not session.is_running())
        assert outcome(lambda: remote.get_function("tvm.rpc.server.upload"))[0] != "AttributeError"


def test_what_a_killed_server_left_is_removed_by_the_next_one() -> None:
    with serving() as board:
        (board.folder / "session-999999999" / "deep").mkdir(parents=True)
        (board.folder / "session-999999999" / "deep" / "file").write_text("x")
        mine = board.folder / f"session-{os.getpid()}"
        mine.mkdir()
        with serving("x86_64", "--folder", str(board.folder)):
            assert list(board.folder.iterdir()) == [mine]


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fly",
        "serve",
        "serve --key",
        "serve --key a --fly",
        "serve --key a --port 70000",
        "serve --key a --tracker nowhere",
        "serve --key a --tracker 127.0.0.1:0",
        'serve --key a"b',
        "serve --key-file /nowhere",
        "serve --key-file /proc/version",
        "serve --key-file /etc/hostname --tracker 127.0.0.1:9190",
        "serve --key a --as 0:0",
        "serve --key a --as nobody",
        "run",
    ],
)
def test_arguments_that_cannot_be_end_with_a_sentence(arguments: str) -> None:
    command = [*program_command("x86_64"), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr
    assert done.stdout == ""


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 2 + "\n")
    with serving("x86_64", "--key-file", str(tmp_path / "key")) as board:
        board.connect("0123456789abcdef" * 2)
        with pytest.raises(RuntimeError):
            board.connect("another")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another account")
def test_the_server_becomes_the_account_that_it_is_told() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as open_,
    ):
        Path(folder).chmod(0o777)
        board = open_.enter_context(serving("x86_64", "--as", "65534:65533", "--folder", folder))
        process = psutil.Process(board.process.pid)
        assert set(process.uids()) == {65534}
        assert set(process.gids()) == {65533}
        told = Path(f"/proc/{board.process.pid}/status").read_text()
        assert "Groups:\t\n" in told.replace(" ", "")
        assert "NoNewPrivs:\t1" in told


def test_a_port_in_use_is_told(board: ProgramBoard) -> None:
    command = [*program_command("x86_64"), "serve", "--key", "a", "--port", str(board.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "in use" in done.stderr.lower()
