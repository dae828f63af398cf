"""A session with a board: one process on it, one package, every call with a deadline.

TVM's client waits for ever, and its own time limit is kept by the board, which does not help when
the board is frozen. Calls run in a thread here; at the deadline, or on Ctrl-C, the session's
socket is shut down, which ends the call.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base import errors
from edgetvm.base.errors import (
    BoardBusyError,
    BoardCrashError,
    BoardError,
    BoardGoneError,
    BoardMemoryError,
    BoardTimeoutError,
    LeaseLostError,
    TrackerUnreachableError,
)
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.steps import step
from edgetvm.farm.board_service import decode, encode
from edgetvm.farm.calls import Result, awaited, begun, shut_sockets_to
from edgetvm.farm.greeting import check_version
from edgetvm.farm.inventory import Board
from edgetvm.farm.linking import fault_of
from edgetvm.farm.session_records import Opened, Pace, Stamps
from edgetvm.farm.tracker_client import Address, registered_keys, request_board
from edgetvm.models.model import Arrays
from edgetvm.package.arrays import pack, unpack

_CONNECT_DEADLINE_S = 20.0
_WAIT_FOR_BOARD_S = 60.0
# The board's own limit is the last resort against a session whose host vanished without a word.
_SESSION_LIMIT_S = 24 * 3600.0
_RETURN_DEADLINE_S = 6.0
# A farm that is started anew serves after that.
_TRACKER_BACK_S = 20.0
_AGAIN_S = 0.2

# What a board says of a session that ended in the middle of its work; the next one learns why.
_DIED = "the session's process died"

# The board's functions in words, for errors.
_DOING = {
    "facts": "telling its facts",
    "open": "opening the package",
    "run": "running the model",
    "time_queries": "timing the model",
    "time_kernels": "timing the kernels",
    "conditions": "telling its conditions",
    "stream": "running the stream",
    "pace": "running the streams in real time",
    "memory": "telling its memory",
    "threads": "giving its threads cores",
}


class BoardSession:
    """What a host does with a board. Make one with `connect`.

    Every method raises:
        BoardTimeoutError: no answer before the deadline.
        BoardGoneError: the connection broke, and the board does not come back.
        BoardCrashError: the model's code died, and the board is there again.
        BoardMemoryError: the board has too little memory.
        BoardError: anything else that the board reports.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._address = Address("", 0)
        self._remote: Any = None
        # To free one asks the board, and holds up all threads of this process until it answers.
        self._functions: dict[str, Any] = {}
        self._broken = False
        self._timed = 0

    def _connect(self, wait_s: float = _WAIT_FOR_BOARD_S) -> None:
        from tvm import rpc

        address, key = self._requested(wait_s)
        # The number, not the name: the session's socket is found by it when it must be shut.
        try:
            self._address = Address(socket.gethostbyname(address.host), address.port)
        except OSError as error:
            raise BoardGoneError(
                f"its server is said to be at {address}, and no such host is known",
                where=f"board {self.board.name}",
                mend="start the server on that host's loopback, reached through a tunnel",
            ) from error
        limit_s = self.board.limits.time_s or _SESSION_LIMIT_S
        self._remote = self._call(
            lambda: rpc.connect(
                self._address.host, self._address.port, key, session_timeout=limit_s
            ),
            "connecting",
            _CONNECT_DEADLINE_S,
        )

    def _requested(self, wait_s: float) -> tuple[Address, str]:
        """The board's server and what lets in there. A farm's tracker comes back when it went.

        Whose lease is over meanwhile is told at once.
        """
        until_s = time.monotonic() + min(wait_s, _TRACKER_BACK_S)
        while True:
            board = self.board.now()
            try:
                return request_board(_tracker_of(board), board.key, wait_s, self.board.now)
            except BoardBusyError as error:
                self.board.now()  # that its lease was over meanwhile says more
                raise fault_of(board) or error from error
            except TrackerUnreachableError as error:
                if board.hand is None:
                    raise
                if time.monotonic() > until_s:
                    error.mend = "see whether the farm is up: edgetvm farm status"
                    raise
            time.sleep(_AGAIN_S)

    def facts(self, deadline_s: float = 20.0) -> dict[str, Any]:
        """What the board is and how it stands: see `board_service.facts`."""
        return self._ask("facts", {}, b"", deadline_s)[0]

    def open(self, package: bytes, threads: int | None, deadline_s: float = 300.0) -> Opened:
        """Send a package, open it on the board, and run its sample once."""
        file = "model.edgetvm"
        self._call(
            lambda: self._remote.upload(bytearray(package), file),
            "receiving the package",
            deadline_s,
        )
        header, payload = self._ask("open", {"file": file, "threads": threads}, b"", deadline_s)
        return Opened(
            open_ns=header["open_ns"],
            first_run_ns=header["first_run_ns"],
            threads=header["threads"],
            profile=header["profile"],
            outputs=unpack(header["arrays"], payload),
        )

    def run(
        self, inputs: Arrays, deadline_s: float = 300.0
    ) -> tuple[int, dict[str, NDArray[np.generic]]]:
        """One run. Answers with its duration in nanoseconds and the outputs."""
        described, payload = pack(inputs)
        header, data = self._ask("run", {"arrays": described}, payload, deadline_s)
        return header["duration_ns"], unpack(header["arrays"], data)

    def time_runs(
        self,
        count: int,
        max_s: float,
        inputs: Arrays | None = None,
        threads: int | None = None,
        deadline_s: float = 300.0,
    ) -> NDArray[np.int64]:
        """Run `count` times, or for `max_s` seconds. Answers with each duration in nanoseconds.

        Args:
            inputs: to run on; those that were last set without them.
            threads: to share these runs among; those that the package was opened with without it.
        """
        stamps = self._time_queries(pack(inputs or {}), count, max_s, 1, threads, deadline_s)
        return stamps.ended_ns - stamps.began_ns

    def time_queries(
        self,
        count: int,
        max_s: float,
        runs_per_query: int = 1,
        arrivals_ns: NDArray[np.int64] | None = None,
        deadline_s: float = 300.0,
    ) -> Stamps:
        """Run queries on the inputs that were last set: see `board_service.time_queries`.

        Args:
            count: queries at most.
            max_s: begin none after so long, counted from the first arrival.
            runs_per_query: runs of the model in each.
            arrivals_ns: when each arrives, int64 `[count]`, in nanoseconds from the beginning;
                without it each arrives when the one before is done.
        """
        arrays = pack({} if arrivals_ns is None else {"arrivals_ns": arrivals_ns})
        paced = arrivals_ns is not None
        if arrivals_ns is not None and count > 0:
            deadline_s += int(arrivals_ns[0]) / 1e9
        return self._time_queries(arrays, count, max_s, runs_per_query, None, deadline_s, paced)

    def _time_queries(
        self,
        arrays: tuple[list[dict[str, Any]], bytes],
        count: int,
        max_s: float,
        runs_per_query: int,
        threads: int | None,
        deadline_s: float,
        paced: bool = False,
    ) -> Stamps:
        described, payload = arrays
        request = {
            "count": count,
            "max_s": max_s,
            "runs": runs_per_query,
            "threads": threads,
            "paced": paced,
            "arrays": described,
        }
        header, data = self._ask("time_queries", request, payload, max_s + deadline_s)
        table = np.frombuffer(data, "<i8").astype(np.int64).reshape(-1, 2)
        return Stamps(table[:, 0], table[:, 1], header["on_board_ns"])

    def time_kernels(
        self, count: int, max_s: float, deadline_s: float = 300.0
    ) -> tuple[list[str], NDArray[np.int64]]:
        """Run `count` times, or for `max_s` seconds, and time each call of a kernel.

        Returns:
            the names of the calls, and `[runs, calls]`: how long each took, in nanoseconds.
        """
        request = {"count": count, "max_s": max_s}
        header, data = self._ask("time_kernels", request, b"", max_s + deadline_s)
        names = header["names"]
        table = np.frombuffer(data, "<i8").astype(np.int64).reshape(-1, 1 + len(names))
        return names, table[:, 1:]

    def conditions(self, deadline_s: float = 20.0) -> dict[str, Any]:
        """How the board and this session stand now: see `edgetvm.measure.conditions`."""
        return self._ask("conditions", {}, b"", deadline_s)[0]

    def stream(
        self, chunks: Arrays, deadline_s: float = 600.0
    ) -> tuple[NDArray[np.int64], dict[str, NDArray[np.generic]]]:
        """Run chunks back to back, the state carried: see `board_service.stream`.

        Returns:
            the service time of each chunk in nanoseconds, and `[chunks, *shape]` for each output.
        """
        described, payload = pack(chunks)
        header, data = self._ask("stream", {"arrays": described}, payload, deadline_s)
        outputs = unpack(header["arrays"], data)
        return outputs.pop("service_ns").astype(np.int64), outputs

    def pace(
        self, chunks: Arrays, pace: Pace, deadline_s: float = 300.0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[np.generic]]]:
        """Run chunks as they arrive, in several streams: see `board_pacing.paced`.

        Returns:
            when each chunk began and ended, `[count, streams]`, in nanoseconds since the beginning
            on the board's clock, -1 for one that did not run; and `[streams, keep, *shape]` for
            each output, zeros likewise.
        """
        described, payload = pack(chunks)
        request = {"arrays": described, **asdict(pace)}
        header, data = self._ask("pace", request, payload, pace.max_s + deadline_s)
        answers = unpack(header["arrays"], data)
        began_ns, ended_ns = (
            answers.pop(name).astype(np.int64).reshape(pace.count, pace.streams)
            for name in ("began_ns", "ended_ns")
        )
        outputs = {
            name: array.reshape(pace.streams, pace.keep, *array.shape[1:])
            for name, array in answers.items()
        }
        return began_ns, ended_ns, outputs

    def time_library(
        self,
        library: bytes,
        shapes: Sequence[tuple[int, ...]],
        repeats: int,
        deadline_s: float = 60.0,
    ) -> list[float]:
        """Time the function `main` of a library of kernels, after `prepare` has made its input.

        Args:
            library: a shared object with both.
            shapes: of the tensors of float32 that `main` takes; `prepare` takes the first one.
            repeats: runs of `main`.

        Returns:
            how long each run took, in seconds.
        """
        return self._call(
            lambda: self._times_s(library, shapes, repeats), "timing a kernel", deadline_s
        )

    def _times_s(
        self, library: bytes, shapes: Sequence[tuple[int, ...]], repeats: int
    ) -> list[float]:
        from tvm import runtime

        # A file of its own each time: what is loaded must not change under its process.
        self._timed += 1
        name, device = f"timed-{self._timed}.so", self._remote.cpu(0)
        self._remote.upload(bytearray(library), name)
        module = self._remote.load_module(name)
        tensors = [runtime.empty(shape, "float32", device) for shape in shapes]
        module["prepare"](tensors[0])
        timed = module.time_evaluator("main", device, number=1, repeat=repeats)(*tensors)
        return [float(one) for one in timed.results]

    def peak_memory_bytes(self, deadline_s: float = 20.0) -> int:
        """The most memory that the session held for its package so far."""
        return int(self._ask("memory", {}, b"", deadline_s)[0]["peak_memory_bytes"])

    def close(self) -> None:
        """End the session; the board becomes free."""
        shut_sockets_to(self._address)
        self._functions.clear()
        self._remote = None

    def _ask(
        self,
        function: str,
        request: dict[str, Any],
        payload: bytes,
        deadline_s: float,
    ) -> tuple[dict[str, Any], bytes]:
        message = encode(request, payload)

        def ask() -> bytes:
            if function not in self._functions:
                self._functions[function] = self._remote.get_function(f"edgetvm.{function}")
            return bytes(self._functions[function](message))

        header, data = decode(self._call(ask, _DOING[function], deadline_s))
        if "error" in header:
            told = header["error"]
            kind = getattr(errors, told["kind"], BoardError)
            raise kind(told["what"], where=f"board {self.board.name}", mend=told.get("mend"))
        return header, data

    def _call(self, work: Callable[[], Result], doing: str, deadline_s: float) -> Result:
        self.board.now()  # with a board that somebody else has by now nothing more is done
        future = begun(work, f"board-{self.board.name}")
        try:
            return awaited(future, deadline_s)
        except FutureTimeoutError as error:
            self._abandon(future)
            raise BoardTimeoutError(
                f"the board did not answer within {deadline_s:g} s while {doing}",
                where=f"board {self.board.name}",
                mend="is it frozen or overloaded? restart it and run the same command again",
            ) from error
        except (KeyboardInterrupt, SystemExit):
            self._abandon(future)
            raise
        except AttributeError as error:
            raise BoardError(
                f"its RPC server is not edgetvm's: {error}",
                where=f"board {self.board.name}",
                mend="start it with: python -m edgetvm.farm.server (see docs/how-to/boards.md)",
            ) from error
        except (RuntimeError, ConnectionError, OSError) as error:
            self._broken = True
            raise self._what_happened(error, doing) from error

    def _abandon(self, future: Future[Any]) -> None:
        self._broken = True
        shut_sockets_to(self._address)
        with contextlib.suppress(Exception):
            future.exception(timeout=5)

    def _what_happened(self, error: Exception, doing: str) -> BoardError:
        """A broken connection in the user's words: did the board go, or the code on it?"""
        where = f"board {self.board.name}"
        text = str(error)
        if "Error caught from RPC call" in text and _DIED not in text:
            reason = text.rsplit("Error caught from RPC call:", 1)[1].strip()
            if "bad_alloc" in reason or "out of memory" in reason.lower():
                return BoardMemoryError(
                    f"it has too little memory while {doing}",
                    where=where,
                    mend="use a smaller model",
                )
            return BoardError(f"it reports: {reason.splitlines()[-1]}", where=where)
        back, exit_code = self._exit_code_after_return()
        if exit_code is None:
            fault = None if back else fault_of(self.board)
            return BoardGoneError(
                f"the connection broke while {doing}, and it "
                + ("is back" if back else "did not come back")
                + (f": {fault.what}" if fault else ""),
                where=where,
                mend="run the same command again"
                if back
                else "check its power and network, then run the same command again",
            )
        name = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
        if exit_code == -signal.SIGKILL:
            return BoardMemoryError(
                f"the process was killed while {doing} (SIGKILL), most likely for lack of memory",
                where=where,
                mend="use a smaller model or input, or free memory on the board",
            )
        return BoardCrashError(
            f"the model's code died while {doing} ({name}); the board itself is up again",
            where=where,
            mend="try another schedule (without the tuning database) and report it",
        )

    def _exit_code_after_return(self) -> tuple[bool, int | None]:
        """Whether the board comes back, and how the session's process ended, where it tells.

        Only the next session is told of the one before, so that a second question is in vain.
        """
        until_s = time.monotonic() + _RETURN_DEADLINE_S
        while time.monotonic() < until_s:
            try:
                there = self.board.now()
                if there.key in registered_keys(_tracker_of(there), 2.0):
                    successor = _Successor(self.board)
                    try:
                        successor._connect(until_s - time.monotonic())
                        code = successor.facts(_RETURN_DEADLINE_S)["last_exit_code"]
                    finally:
                        successor.close()
                    return True, None if code is None else int(code)
            except (TrackerUnreachableError, LeaseLostError):
                return False, None
            except BoardError:
                pass
            time.sleep(0.3)
        return False, None


class _Successor(BoardSession):
    """The session that is told how the one before it ended. Where it breaks none comes after it.

    Else a board that hangs up on each would be asked on and on.
    """

    def _exit_code_after_return(self) -> tuple[bool, int | None]:
        return False, None


@contextmanager
def connect(board: Board) -> Iterator[BoardSession]:
    """A session with a board whose server is up.

    Raises:
        TrackerUnreachableError: its tracker does not answer.
        BoardBusyError: it did not become free in time.
        BoardTimeoutError, BoardGoneError: its server does not answer.
        BoardError: its server is not edgetvm's, or is of another version.
    """
    session = BoardSession(board)
    try:
        with step(f"connect to {board.name}"), native_words_kept_back():
            session._connect()
            check_version(session.facts()["version"], board.name)
        yield session
    finally:
        session.close()


def _tracker_of(board: Board) -> Address:
    if board.tracker is None:
        raise BoardError(
            "its server is not reached yet",
            where=f"board {board.name}",
            mend="enter `edgetvm.farm.standing(board)` first",
        )
    return board.tracker
