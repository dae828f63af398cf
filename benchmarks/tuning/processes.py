"""`edgetvm` as a user runs it, and the end of all its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

_GONE_S = 30


def edgetvm(arguments: Sequence[str], said: Path) -> subprocess.Popen[bytes]:
    """Start a command; what it prints goes to the file."""
    with said.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "edgetvm", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill_tree(process: subprocess.Popen[bytes]) -> int:
    """SIGKILL to a process and all that descend from it, at once; how many there were.

    Raises:
        RuntimeError: some of them are still there long after.
    """
    try:
        root = psutil.Process(process.pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        process.wait()
        return 0
    for one in tree:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    _, left = psutil.wait_procs(tree, timeout=_GONE_S)
    if left:
        raise RuntimeError(f"{len(left)} processes outlive SIGKILL by {_GONE_S} s")
    return len(tree)


def finished(arguments: Sequence[str], said: Path, timeout_s: float) -> float:
    """Run a command to its end; how long it took in seconds.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    began_s = time.monotonic()
    process = edgetvm(arguments, said)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        kill_tree(process)
        raise RuntimeError(f"edgetvm {arguments[0]}: not done in {timeout_s:g} s") from None
    if code:
        last = (said.read_text(errors="replace").strip().splitlines() or [""])[-1]
        raise RuntimeError(f"edgetvm {arguments[0]}: exit code {code}: {last}")
    return time.monotonic() - began_s
