"""What goes wrong on a board costs a call or a session of the C program, and never the server."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from built_runtime import program
from program_board import ProgramBoard, serving
from real_board import within
from rpc_conversation import outcome

pytestmark = pytest.mark.board

KERNELS = Path(__file__).with_name("board_program") / "kernels.c"
MAGIC = 0xFF271
# Codes of requests: see wire.h.
INIT, CALL, COPY_FROM, COPY_TO, FUNCTION, FREE = 2, 3, 6, 7, 9, 10


@pytest.fixture(scope="module")
def board() -> Iterator[ProgramBoard]:
    """One that every test leaves whole."""
    with serving("x86_64", "--memory", "512") as served:
        yield served
        assert served.process.poll() is None


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The kernels that misbehave."""
    made = tmp_path_factory.mktemp("kernels") / "kernels.so"
    command = [program("gcc"), "-O1", "-fPIC", "-shared", "-nostdlib", str(KERNELS), "-o"]
    subprocess.run([*command, str(made)], check=True)
    return made.read_bytes()


def loaded(remote: Any, library: bytes) -> Any:
    """The misbehaving kernels in a session."""
    remote.upload(bytearray(library), "kernels.so")
    return remote.load_module("kernels.so")


def is_whole(board: ProgramBoard, library: bytes) -> bool:
    """Whether a new session does its work, and nothing is left of those before it."""
    before_s = time.monotonic()
    remote = board.connect()
    loaded(remote, library)["plain"]()
    assert len(list(board.folder.iterdir())) == 1
    del remote
    assert within(3, lambda: not board.sessions() and not list(board.folder.iterdir()))
    return time.monotonic() - before_s < 10


@pytest.mark.parametrize(
    ("kernel", "words"), [("crash", "signal 11 (Segmentation fault)"), ("leave", "exit code 7")]
)
def test_a_kernel_that_ends_its_process_is_told(
    kernel: str, words: str, board: ProgramBoard, library: bytes
) -> None:
    remote = board.connect()
    kind, said = outcome(loaded(remote, library)[kernel])
    assert kind == "RPCError"
    assert said.endswith(f"the session's process died: {words}")
    # Nothing answers in that session any more.
    assert outcome(lambda: remote.get_function("tvm.rpc.server.upload"))[0] != "AttributeError"
    assert is_whole(board, library)


def test_a_kernel_that_fails_costs_its_call(board: ProgramBoard, library: bytes) -> None:
    module = loaded(board.connect(), library)
    assert outcome(module["fail"]) == ("RPCError", "RuntimeError: the kernel failed")
    assert outcome(module["plain"]) is None


def test_a_kernel_that_hangs_is_ended_at_the_session_s_limit(
    board: ProgramBoard, library: bytes
) -> None:
    kind, said = outcome(loaded(board.connect(timeout_s=1), library)["hang"])
    assert kind == "RPCSessionTimeoutError"
    assert "Your 1s session has expired" in said
    assert is_whole(board, library)


def test_a_session_that_waits_for_its_client_is_ended_too(
    board: ProgramBoard, library: bytes
) -> None:
    remote = board.connect(timeout_s=0.5)
    assert within(3, lambda: not board.sessions())
    assert outcome(lambda: remote.get_function("tvm.rpc.server.upload"))[0] != "AttributeError"
    assert is_whole(board, library)


CLIENT = """
import sys
from tvm import rpc
remote = rpc.connect("127.0.0.1", int(sys.argv[1]), "board")
remote.upload(sys.argv[2], "kernels.so")
module = remote.load_module("kernels.so")
print("there", flush=True)
module["hang"]()
"""


def test_a_client_that_is_killed_while_a_kernel_hangs_frees_the_board(
    board: ProgramBoard, library: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "kernels.so"
    path.write_bytes(library)
    command = [sys.executable, "-c", CLIENT, str(board.port), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "there\n"
        time.sleep(0.2)
        client.kill()
    assert within(3, lambda: not board.sessions())
    assert is_whole(board, library)


def test_processes_that_a_kernel_leaves_behind_end_with_the_session(
    board: ProgramBoard, library: bytes
) -> None:
    remote = board.connect()
    loaded(remote, library)["stray"]()
    (session,) = board.sessions()
    (stray,) = session.children()
    del remote
    assert within(3, lambda: not stray.is_running() or stray.status() == psutil.STATUS_ZOMBIE)
    assert is_whole(board, library)


def use_memory(remote: Any) -> None:
    """Ask for more than the 512 MiB that the board gives a session, and for what is freed."""
    from tvm.runtime import empty

    def taken(size_bytes: int) -> Any:
        return outcome(lambda: empty((size_bytes,), "int8", remote.cpu()))

    for size_bytes in (1 << 62, 1 << 40, 600 << 20):
        kind, said = taken(size_bytes)
        assert kind == "RPCError"
        assert "out of memory" in said
    held = [taken(200 << 20) for _ in range(2)]
    assert "out of memory" in taken(200 << 20)[1]
    del held[0]
    assert taken(200 << 20).shape == (200 << 20,)


def test_memory_is_limited(board: ProgramBoard, library: bytes) -> None:
    use_memory(board.connect())
    assert is_whole(board, library)


def test_two_hundred_sessions_leave_nothing(board: ProgramBoard, library: bytes) -> None:
    server = psutil.Process(board.process.pid)
    files, memory_bytes = server.num_fds(), server.memory_info().rss
    for _ in range(200):
        assert board.connect().cpu().exist
    assert is_whole(board, library)
    assert server.num_fds() == files
    assert server.memory_info().rss < memory_bytes + (64 << 10)


def test_silent_and_strange_callers_hold_nobody_up(board: ProgramBoard, library: bytes) -> None:
    first_words = (b"", b"\x71", b"GET / HTTP/1.1\r\n\r\n", struct.pack("<ii", MAGIC, 1 << 30))
    callers = [socket.create_connection(("127.0.0.1", board.port)) for _ in range(40)]
    for caller, words in zip(callers, 10 * first_words, strict=True):
        with contextlib.suppress(ConnectionError):  # those that have waited longest were sent away
            caller.sendall(words)
    began_s = time.monotonic()
    remote = board.connect()
    loaded(remote, library)["plain"]()
    assert time.monotonic() - began_s < 2
    del remote
    for caller in callers:
        caller.close()
    assert within(3, lambda: not board.sessions())


def test_a_second_client_waits_for_the_first(board: ProgramBoard) -> None:
    order: list[str] = []

    def second() -> None:
        board.connect().cpu()
        order.append("second")

    remote = board.connect()
    waiting = threading.Thread(target=second)
    waiting.start()
    time.sleep(0.3)
    order.append("first")
    del remote
    waiting.join(10)
    assert order == ["first", "second"]


class Raw:
    """A client that says what it likes."""

    def __init__(self, board: ProgramBoard) -> None:
        self.socket = socket.create_connection(("127.0.0.1", board.port), 10)
        word = b"client:board -timeout=20"
        self.socket.sendall(struct.pack("<ii", MAGIC, len(word)) + word)
        assert struct.unpack("<ii", self._read(8)) == (MAGIC, 12)
        assert self._read(12) == b"server:board"

    def _read(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            part = self.socket.recv(size_bytes - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ask(self, code: int, body: bytes) -> tuple[int, bytes]:
        """The answer's code and body."""
        self.socket.sendall(struct.pack("<Qi", len(body) + 4, code) + body)
        size_bytes, answered = struct.unpack("<Qi", self._read(12))
        return answered, self._read(size_bytes - 4)

    def greet(self) -> None:
        """What every session begins with."""
        assert self.ask(INIT, struct.pack("<Q5si", 5, b"0.8.0", 0))[0] == 4

    def is_in_step(self) -> bool:
        """Whether an ordinary request still has its ordinary answer."""
        name = b"tvm.rpc.server.listdir"
        code, body = self.ask(FUNCTION, struct.pack("<iiQ", 1, 8, len(name)) + name)
        return code == 4 and struct.unpack("<iiQ", body)[2] != 0


@pytest.fixture
def raw(board: ProgramBoard) -> Iterator[Raw]:
    client = Raw(board)
    yield client
    client.socket.close()


def tensor(handle: int, shape: tuple[int, ...] = (4,), offset: int = 0, rank: int = -1) -> bytes:
    """A DLTensor of float32 on the wire."""
    axes = len(shape) if rank < 0 else rank
    head = struct.pack("<QiiiBBH", handle, 1, 0, axes, 2, 32, 1)
    return head + struct.pack(f"<{len(shape)}qQ", *shape, offset)


REFUSED: dict[str, tuple[int, bytes]] = {
    "an unknown request": (77, struct.pack("<i", 0)),
    "a function that is none": (CALL, struct.pack("<Qi", 12345, 0)),
    "a function that is an address": (CALL, struct.pack("<Qi", 0x7FFF00001234, 0)),
    "a call without a count": (CALL, struct.pack("<Q", 1 << 32 | 1)),
    "a name beyond the packet": (FUNCTION, struct.pack("<iiQ", 1, 8, 1 << 60)),
    "a name that is a number": (FUNCTION, struct.pack("<iiQ", 1, 1, 7)),
    "a name that is too long": (FUNCTION, struct.pack("<iiQ", 1, 8, 5000) + b"x" * 5000),
    "two names": (FUNCTION, struct.pack("<i", 2)),
    "a negative count": (FUNCTION, struct.pack("<i", -1)),
    "an empty request": (FUNCTION, b""),
    "a type that is none": (FUNCTION, struct.pack("<iiQ", 1, -7, 0)),
    "an object of another kind": (FUNCTION, struct.pack("<iiiQ", 1, 70, 70, 1)),
    "a handle that is none": (FREE, struct.pack("<iiQ", 1, 4, 99)),
    "reading at an address": (COPY_FROM, tensor(0x400000) + struct.pack("<Q", 16)),
    "writing at an address": (COPY_TO, tensor(0x400000) + struct.pack("<Q", 16) + bytes(16)),
    "too many axes": (COPY_FROM, tensor(1, (1,) * 20) + struct.pack("<Q", 16)),
    "negative axes": (COPY_FROM, tensor(1, (), 0, -3) + struct.pack("<Q", 16)),
    "more axes than came": (COPY_FROM, tensor(1, (), 0, 16)),
    "more bytes than came": (COPY_TO, tensor(1) + struct.pack("<Q", 1 << 40)),
    "another version": (INIT, struct.pack("<Q5si", 5, b"9.9.9", 0)),
    "a longer version": (INIT, struct.pack("<Q", 1 << 50) + b"0.8.0"),
    "another session": (INIT, struct.pack("<Q5si", 5, b"0.8.0", 2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_cannot_be_is_refused_and_the_next_one_answered(name: str, raw: Raw) -> None:
    raw.greet()
    code, body = raw.ask(*REFUSED[name])
    assert code == 5
    assert body[16:]
    assert raw.is_in_step()


def test_memory_is_read_and_written_within_a_tensor_alone(raw: Raw) -> None:
    raw.greet()
    allot = struct.pack("<ii", 2, 7) + tensor(0) + struct.pack("<i", 0)
    code, body = raw.ask(17, allot)
    assert code == 4
    handle = struct.unpack("<iiQ", body)[2]
    inside, beyond = struct.pack("<Q", 16), struct.pack("<Q", 17)
    assert raw.ask(COPY_TO, tensor(handle) + inside + b"0123456789abcdef")[0] == 4
    assert raw.ask(COPY_FROM, tensor(handle) + inside) == (8, b"0123456789abcdef")
    assert raw.ask(COPY_FROM, tensor(handle, offset=12) + struct.pack("<Q", 4)) == (8, b"cdef")
    for part in (
        tensor(handle) + beyond,
        tensor(handle, offset=1) + inside,
        tensor(handle, offset=(1 << 64) - 8) + inside,
        tensor(handle + (1 << 32)) + inside,
        tensor(handle + 1) + inside,
    ):
        assert raw.ask(COPY_FROM, part)[0] == 5
        assert raw.ask(COPY_TO, part + bytes(17))[0] == 5
    # A handle that was given back is no handle.
    assert raw.ask(14, struct.pack("<iiiiiQ", 2, 6, 1, 0, 4, handle))[0] == 4
    assert raw.ask(COPY_FROM, tensor(handle) + inside)[0] == 5
    assert raw.is_in_step()


def test_nothing_is_done_before_the_client_says_what_it_speaks(raw: Raw) -> None:
    assert not raw.is_in_step()
    raw.greet()
    assert raw.is_in_step()


@pytest.mark.parametrize("head", [struct.pack("<Q", 2), struct.pack("<Q", 1 << 62), b"\x01"])
def test_lengths_that_cannot_be_end_the_session(head: bytes, board: ProgramBoard, raw: Raw) -> None:
    raw.greet()
    raw.socket.sendall(head)
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.socket.recv(100) == b""
    assert within(3, lambda: not board.sessions())


def test_bytes_without_sense_never_end_the_server(board: ProgramBoard) -> None:
    dice = random.Random(8)
    for _ in range(60):
        client = Raw(board)
        client.greet()
        for _ in range(20):
            body = dice.randbytes(dice.randrange(64))
            code = dice.randrange(2, 24)
            client.socket.sendall(struct.pack("<Qi", len(body) + 4, code) + body)
        client.socket.close()
    assert within(10, lambda: not board.sessions())
    assert board.process.poll() is None


def test_a_session_that_is_killed_ends_alone(board: ProgramBoard, library: bytes) -> None:
    remote = board.connect()
    (session,) = board.sessions()
    os.kill(session.pid, signal.SIGKILL)
    assert within(3, lambda: not board.sessions())
    # The client was not waiting for an answer: what it is told depends on what it does next.
    assert outcome(lambda: remote.get_function("tvm.rpc.server.upload"))[0] != "AttributeError"
    assert is_whole(board, library)
