"""A board of another architecture that QEMU's user emulation plays, without rights or an image.

Its program, its packages and its answers are a real board's; its times say nothing.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import step
from edgetvm.boards.profile import BoardProfile
from edgetvm.estimate.tools import emulator
from edgetvm.farm.inventory import Board
from edgetvm.farm.local import end, own_tracker
from edgetvm.farm.program import board_program
from edgetvm.farm.standing_boards import is_there

NAME = "QEMU"
_START_DEADLINE_S = 60.0


@contextmanager
def played(profile: BoardProfile) -> Iterator[Board]:
    """The board, its server registered, for as long as the block lasts.

    Args:
        profile: of the board that is played; code for it runs there.

    Raises:
        MissingToolError: QEMU is not installed, or knows no such architecture.
        CompileError: the board's program cannot be built.
        BoardError: it did not come up in time.
    """
    core = ["-cpu", profile.core.emulated] if profile.core and profile.core.emulated else []
    command = [emulator(profile.architecture), *core, str(board_program(profile.architecture))]
    key = f"played-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="edgetvm-played-") as folder, own_tracker() as tracker:
        words = ["serve", "--key", key, "--tracker", str(tracker), "--folder", folder]
        tied = [sys.executable, "-m", "edgetvm.base.tied", str(os.getpid())]
        process = subprocess.Popen(
            [*tied, *command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        board = Board(NAME, profile.name, tracker, key)
        try:
            with step(f"start a {profile.name} that QEMU plays"):
                _wait(board, process)
            yield board
        finally:
            end(process)


def _wait(board: Board, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _START_DEADLINE_S
    while not is_there(board):
        if process.poll() is not None or time.monotonic() > until_s:
            raise BoardError(
                "its server under QEMU did not come up",
                where=f"board {board.name}",
                mend="does its program run: edgetvm doctor",
            )
        time.sleep(0.05)
