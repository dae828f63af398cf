"""Tracker and server as processes of this machine, which end with their owner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.tracker_client import Address


def start_process(name: str, listener: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `edgetvm.farm.NAME` on a socket that listens already.

    It ends with this process, however that ends.
    """
    # The tracker answers with errors on stdout too: both streams go where nobody must read.
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            f"edgetvm.farm.{name}",
            *("--fd", str(listener.fileno())),
            *arguments,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
        start_new_session=True,
    )


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End it and whatever it started."""
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
        process = start_process("tracker", listener)
    try:
        yield address
    finally:
        end_process(process)
