"""Processes that answer requests: whatever dies or hangs in one costs its request, nothing else.

A request and its answer are pickled over the pipes between a process and the one that started it;
nothing else ever writes to these. A worker ends with its owner.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Answer = Callable[[Any], object]

_LENGTH = struct.Struct("<Q")


class WorkerLost(Exception):
    """A worker's process ended in the middle of a request; says how."""


class WorkerLate(Exception):
    """A worker did not answer before its deadline, and was ended."""


class Worker:
    """One process, started when it is first asked, and again after it was lost."""

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

    def ask(self, request: object, timeout_s: float) -> Any:
        """Send a request and wait for its answer.

        Raises:
            WorkerLost: the process died.
            WorkerLate: no answer in time; the process was killed.
            Exception: whatever the worker raised.
        """
        process = self._running()
        try:
            _send(_pipe(process.stdin), request)
            told = _receive(_pipe(process.stdout), time.monotonic() + timeout_s)
        except TimeoutError as error:
            self.close()
            raise WorkerLate(f"no answer within {timeout_s:g} s") from error
        except (OSError, EOFError) as error:
            code = process.wait()
            self.close()
            word = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise WorkerLost(word) from error
        self._renew_if_large(process)
        answer, raised = told
        if raised is not None:
            raise raised
        return answer

    def pause(self) -> None:
        """Stop its computing until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def close(self) -> None:
        """End the process and whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
        return self._process

    def _renew_if_large(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(OSError):
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            if pages * os.sysconf("SC_PAGE_SIZE") > self._limit_bytes:
                self.close()


def serve(answer: Answer) -> None:
    """In the worker: answer requests until the owner is gone."""
    requests, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    # Whatever libraries print must not lie between the answers.
    os.dup2(2, 1)
    while True:
        try:
            request = _receive(requests, None)
        except EOFError:
            os.killpg(os.getpid(), signal.SIGKILL)
        try:
            told: tuple[object, Exception | None] = (answer(request), None)
        except Exception as error:  # it belongs to whoever asked
            told = (None, _portable(error))
        _send(answers, told)


def _portable(error: Exception) -> Exception:
    """The error, or its words where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # whatever an error of a library does when it is pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _send(pipe: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(pipe.fileno(), left) :]


def _receive(pipe: IO[bytes], until_s: float | None) -> Any:
    (size_bytes,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size, until_s))
    return pickle.loads(_exactly(pipe, size_bytes, until_s))  # noqa: S301 - of our own process


def _exactly(pipe: IO[bytes], size_bytes: int, until_s: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size_bytes:
        if until_s is not None:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([pipe], [], [], left_s)[0]:
                raise TimeoutError
        part = os.read(pipe.fileno(), min(size_bytes - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
