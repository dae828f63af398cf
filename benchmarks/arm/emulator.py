"""Runs a program under QEMU with the counting plugin, and reads what it counted."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm.boards import Board
from benchmarks.arm.tools import plugin, program
from edgetvm.measure.peers.case import Unavailable

_WINDOWS, _LENGTH = 100, 1500


@dataclass(frozen=True)
class Counted:
    """What the plugin wrote of one process.

    Attributes:
        runs: instructions of each marked run, in order; all threads'.
        windows: sampled stretches: the code of each instruction, in hexadecimal.
    """

    runs: tuple[int, ...]
    windows: tuple[tuple[str, ...], ...]


def parsed(text: str) -> Counted:
    """The plugin's output."""
    runs: list[int] = []
    blocks: dict[str, list[str]] = {}
    windows: list[tuple[str, ...]] = []
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "run":
            runs.append(sum(int(word) for word in words))
        elif kind == "block":
            blocks[words[0]] = words[1:]
        elif kind == "window":
            windows.append(tuple(code for word in words for code in blocks[word]))
    return Counted(tuple(runs), tuple(windows))


def counted(
    board: Board,
    root: Path | None,
    command: Sequence[str],
    folder: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> Counted:
    """Run a command to its end.

    Args:
        board: whose core it is to see.
        root: of the system that it is to see; None for a static program.
        command: the program, which marks its runs, and its arguments.
        folder: where the plugin is kept.
        timeout_s: after which it is ended.
        environment: variables beside those of this process.

    Raises:
        Unavailable: it fails, or takes too long.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "counts")
        words = [program(board.emulator), "-cpu", board.emulated_cpu]
        words += ["-L", str(root)] if root else []
        words += ["-plugin", f"{plugin(folder)},out={out},windows={_WINDOWS},length={_LENGTH}"]
        try:
            done = subprocess.run(
                [*words, *command],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                env={**os.environ, **(environment or {})},
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"QEMU needs more than {timeout_s:.0f} s for it") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Unavailable(lines[-1][:200])
        found = parsed(out.read_text())
    if not found.runs:
        raise Unavailable("it marked no run")
    return found
