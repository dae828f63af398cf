"""Boards that run edgetvm's C program on this machine, each behind a proxy with troubles."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.farm.proxy import Proxy
from edgetvm.base.errors import BoardError
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.ways import ServedHere, Start
from edgetvm.farm.program import board_program
from edgetvm.farm.tracker_client import Address

PROFILE = "local"
_STARTS_S = 10.0
_SAYS_ITS_PORT = b"edgetvm-board: listening on 127.0.0.1:"
# Ends the server when stdin is closed: with its owner, however that ended.
_TIED = 'exec 3<&0; "$@" & server=$!; (cat <&3; kill -9 $server) & wait $server; kill $!'


def program_server(folder: Path, proxy: Proxy | None = None) -> Start:
    """Starts a server.

    Args:
        folder: for the files of its sessions.
        proxy: that its clients come through.
    """

    def start(tracker: Address, key: str) -> subprocess.Popen[bytes]:
        words = ["--tracker", str(tracker), "--key", key]
        words += ["--told-port", str(proxy.port)] if proxy is not None else []
        process, port = served(folder, words)
        if proxy is not None:
            proxy.target = port
        return process

    return start


def served(folder: Path, words: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """A server that ends with this process, and the port that it listens on.

    Args:
        folder: for the files of its sessions.
        words: to `edgetvm-board serve`.
    """
    folder.mkdir(exist_ok=True)
    command = [str(board_program(os.uname().machine)), "serve", "--folder", str(folder), *words]
    log = folder.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["sh", "-c", _TIED, "sh", *command],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
            start_new_session=True,
        )  # fmt: skip
    return process, _port_in(log)


def _port_in(log: Path) -> int:
    """That a server says it listens on."""
    until_s = time.monotonic() + _STARTS_S
    while time.monotonic() < until_s:
        first, newline, _ = log.read_bytes().partition(b"\n")
        if newline and first.startswith(_SAYS_ITS_PORT):
            return int(first.removeprefix(_SAYS_ITS_PORT))
        time.sleep(0.005)
    raise BoardError(f"its server says {log.read_text(errors='replace').strip()!r}")


class ProgramBoard(ServedHere):
    """The way to such a board; its folder and proxy end with it."""

    def __init__(self, board: Board, tracker: Address, folder: Path) -> None:
        """Describe it.

        Args:
            board: its name is the folder's.
            tracker: to register with.
            folder: for the folders of all boards.
        """
        self.proxy = Proxy()
        self.folder = folder / board.name
        super().__init__(board, tracker, program_server(self.folder, self.proxy))

    def reconnect(self, deadline_s: float) -> None:
        """Have the way free of what stands in it."""
        self.proxy.reset()

    def finish(self) -> None:
        """Leave nothing."""
        self.close()
        self.proxy.close()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        self.folder.with_suffix(".log").unlink(missing_ok=True)
