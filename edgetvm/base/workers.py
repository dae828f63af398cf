"""Processes that answer requests: whatever dies or hangs in one costs its request, nothing else.

A request and its answer are pickled over the pipes between a process and the one that started it;
nothing else ever writes to these. A worker ends with its owner, whatever either is doing.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Answer = Callable[[Any], object]

_LENGTH = struct.Struct("<Q")
# A process whose pipe has ended is gone within so long, or is ended.
_DYING_S = 5.0
# A deadline is looked at so often: a pause moves it.
_TURN_S = 1.0
_PR_SET_PDEATHSIG = 1
# Linux ends a worker with the thread that started it: this one lasts as long as the owner.
_starter = ThreadPoolExecutor(1, thread_name_prefix="start workers")


class WorkerLost(Exception):
    """A worker's process ended in the middle of a request; says how."""


class WorkerLate(Exception):
    """A worker did not answer before its deadline, and was ended."""


class Worker:
    """One process, started when it is told to or first asked, and again after it was lost."""

    def __init__(
        self, maker: Callable[..., Answer], *arguments: str, memory_limit_bytes: int = 2 << 30
    ) -> None:
        """Describe the process.

        Args:
            maker: a function of a module, called in the process with the arguments: it makes the
                function that answers requests.
            arguments: of it.
            memory_limit_bytes: a worker that holds more after an answer is started anew.
        """
        name = f"{maker.__module__}:{maker.__qualname__}"
        self._command = [sys.executable, "-m", "edgetvm.base.worker", name, *arguments]
        self._limit_bytes = memory_limit_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()
        self._closed = False
        self._pauses = _Pauses()

    def begin(self) -> None:
        """Start the process, so that it is ready, or nearly, when it is first asked."""
        with self._asking:
            self._running()

    def ask(self, request: object, timeout_s: float) -> Any:
        """Send a request and wait for its answer. Time in which it is paused does not count.

        Raises:
            WorkerLost: the process died, or the worker is closed.
            WorkerLate: no answer in time; the process was killed.
            Exception: whatever the worker raised.
        """
        with self._asking:
            try:
                answer, raised = self._answer(request, timeout_s)
            except BaseException:
                self._end()  # what it may still answer is no answer to the next request
                raise
        if raised is not None:
            raise raised
        return answer

    def _answer(self, request: object, timeout_s: float) -> tuple[Any, Exception | None]:
        process, deadline = self._running(), _Deadline(timeout_s, self._pauses)
        try:
            _send(_pipe(process.stdin), request, deadline)
            told: tuple[Any, Exception | None] = _receive(_pipe(process.stdout), deadline)
        except TimeoutError as error:
            raise WorkerLate(f"no answer within {timeout_s:g} s") from error
        except (OSError, EOFError) as error:
            raise WorkerLost(_ending(process)) from error
        self._renew_if_large(process)
        return told

    def pause(self) -> None:
        """Stop its computing until `go_on`."""
        self._pauses.begin()
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)
        self._pauses.end()

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def close(self) -> None:
        """End the process and whatever it started, for good; whoever asks it is told so."""
        self._closed = True
        process = self._process
        if process is not None:
            _kill(process)
        with self._asking:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            process = self._process = _starter.submit(
                subprocess.Popen,
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            ).result()
            # A request may be larger than the pipe, and the process may not read.
            os.set_blocking(_pipe(process.stdin).fileno(), False)
        if self._closed:
            raise WorkerLost("closed")
        return self._process

    def _renew_if_large(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(OSError):
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            if pages * os.sysconf("SC_PAGE_SIZE") > self._limit_bytes:
                self._end()


class _Pauses:
    """How long a process was paused so far."""

    def __init__(self) -> None:
        self._before_s = 0.0
        self._since_s: float | None = None

    def begin(self) -> None:
        self._since_s = time.monotonic()

    def end(self) -> None:
        self._before_s, self._since_s = self.total_s, None

    @property
    def total_s(self) -> float:
        since_s = self._since_s
        return self._before_s + (time.monotonic() - since_s if since_s is not None else 0.0)


class _Deadline:
    """Of an answer."""

    def __init__(self, timeout_s: float, pauses: _Pauses) -> None:
        self._pauses = pauses
        self._until_s = time.monotonic() + timeout_s - pauses.total_s

    @property
    def left_s(self) -> float:
        """Raises TimeoutError where nothing is left."""
        left_s = self._until_s + self._pauses.total_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def end_with_owner(owner: int | None = None) -> None:
    """In the worker: die when the thread that started it does, even paused or in native code.

    Args:
        owner: its process, where it may be gone already.
    """
    if sys.platform == "linux":
        owner = owner or os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:
            os.kill(os.getpid(), signal.SIGKILL)


def serve(made: Callable[[], Answer]) -> None:
    """In the worker: answer requests with what is made first, until the owner is gone."""
    requests, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    # Whatever libraries print or read must not lie between the answers, or be a request.
    os.dup2(2, 1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    answer = made()
    while True:
        try:
            request = _receive(requests)
        except EOFError:
            os.killpg(os.getpid(), signal.SIGKILL)
        try:
            told = pickle.dumps((answer(request), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # it belongs to whoever asked
            told = pickle.dumps((None, portable(error)), pickle.HIGHEST_PROTOCOL)
        _write(answers, told)


def portable(error: Exception) -> Exception:
    """The error, or its words where it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # whatever an error of a library does when it is pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    try:
        code = process.wait(_DYING_S)
    except subprocess.TimeoutExpired:
        return "it closed its pipe"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _send(pipe: IO[bytes], message: object, deadline: _Deadline) -> None:
    _write(pipe, pickle.dumps(message, pickle.HIGHEST_PROTOCOL), deadline)


def _write(pipe: IO[bytes], data: bytes, deadline: _Deadline | None = None) -> None:
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        if deadline is None or select.select([], [pipe], [], min(deadline.left_s, _TURN_S))[1]:
            left = left[os.write(pipe.fileno(), left) :]


def _receive(pipe: IO[bytes], deadline: _Deadline | None = None) -> Any:
    (size_bytes,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size, deadline))
    return pickle.loads(_exactly(pipe, size_bytes, deadline))  # noqa: S301 - of our own process


def _exactly(pipe: IO[bytes], size_bytes: int, deadline: _Deadline | None) -> bytes:
    parts = bytearray()
    while len(parts) < size_bytes:
        if deadline and not select.select([pipe], [], [], min(deadline.left_s, _TURN_S))[0]:
            continue
        part = os.read(pipe.fileno(), min(size_bytes - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
