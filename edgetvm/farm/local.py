"""The local board: a real tracker and a real RPC server on loopback, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgetvm.base.errors import BoardError, TrackerUnreachableError
from edgetvm.base.pins import check_pins
from edgetvm.base.steps import step
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.tracker_client import Address, registered_keys
from edgetvm.package.crossbuild import ARCHITECTURES, build_runtime

_START_DEADLINE_S = 60.0


class LocalBoard:
    """Starts on `start` or `with`, and ends with its owner, even if that is killed.

    Attributes:
        tracker: address of the tracker.
        key: that the server registers under; random, so that no other local board is mistaken.
        processes: tracker and server.
    """

    def __init__(self) -> None:
        self.key = f"local-{secrets.token_hex(8)}"
        self.tracker = Address(LOOPBACK, 0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def board(self) -> Board:
        """The inventory's view of it."""
        return Board(LOCAL.name, LOCAL.profile, self.tracker, self.key)

    def start(self) -> None:
        """Start both processes and wait until the server has registered.

        Raises:
            MissingToolError: TVM and its ffi package do not belong together.
            CompileError: the C runtime cannot be built.
            BoardError: they did not come up in time.
        """
        check_pins()
        runtime = runtime_words()
        with step("start the local board") as this:
            # Bound here and handed down: the port is known at once, and cannot be taken meanwhile.
            with listening_socket() as listener:
                self.tracker = Address(LOOPBACK, listener.getsockname()[1])
                self.processes["tracker"] = spawned("tracker", listener)
            with listening_socket() as listener:
                words = ("--tracker", str(self.tracker), "--key", self.key, *runtime)
                self.processes["server"] = spawned("server", listener, *words)
            try:
                self._wait_until_registered()
            except BaseException:
                self.stop()
                raise
            this.detail = f"tracker {self.tracker}"

    def _wait_until_registered(self) -> None:
        until_s = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < until_s:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise BoardError(
                        f"the local board's {name} ended with exit code {process.returncode}",
                        mend="run again with EDGETVM_NATIVE_LOG=1 to see its words",
                    )
            with contextlib.suppress(TrackerUnreachableError):
                if self.key in registered_keys(self.tracker, 2.0):
                    return
            time.sleep(0.05)
        raise BoardError(
            f"the local board did not come up within {_START_DEADLINE_S:g} s",
            mend="run again with EDGETVM_NATIVE_LOG=1 to see its words",
        )

    def stop(self) -> None:
        """End both processes and whatever they started."""
        for process in self.processes.values():
            end(process)
        self.processes.clear()

    def __enter__(self) -> LocalBoard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def runtime_words() -> tuple[str, ...]:
    """Have a server run packages as boards do, in the C runtime, where there is one.

    Raises:
        CompileError, MissingToolError, StorageError: it cannot be built.
    """
    if platform.machine() not in ARCHITECTURES:
        return ()
    return "--runtime", str(build_runtime(platform.machine(), "glibc").folder)


def spawned(name: str, listener: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    """A tracker or server in a process group of its own, which ends with this process.

    Args:
        name: of its module.
        listener: that it takes over; the caller closes his own.
        arguments: of it.
    """
    # The tracker answers with errors on stdout too: both streams go where nobody must read.
    return subprocess.Popen(
        [sys.executable, "-m", f"edgetvm.farm.{name}", "--fd", str(listener.fileno()), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


@contextmanager
def own_tracker() -> Iterator[Address]:
    """A tracker on this machine's loopback; it may take seconds until it greets."""
    with listening_socket() as listener:
        address = Address(LOOPBACK, listener.getsockname()[1])
        process = spawned("tracker", listener)
    try:
        yield address
    finally:
        end(process)
