"""Runs programs under QEMU with the plugin."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import BoardCrashError, BoardTimeoutError
from edgetvm.estimate.tools import emulator, plugin, version_of
from edgetvm.estimate.trace import Trace, parse_trace

# QEMU before this version gives wrong bytes of x86's vector instructions.
_RIGHT_BYTES = 8


@dataclass(frozen=True)
class CacheLevel:
    """A level of caches as it is simulated: least recently used lines of 64 bytes go first."""

    size_bytes: int
    ways: int


@dataclass(frozen=True)
class Machine:
    """What QEMU shows a program, and what is simulated beside.

    Attributes:
        architecture: as `uname -m` prints it.
        cpu: QEMU's name of the core; its default where empty.
        caches: from level 1 on; none are simulated where empty.
        root: of the system that the program sees; None for a static program.
    """

    architecture: str
    cpu: str
    caches: tuple[CacheLevel, ...] = ()
    root: Path | None = None


@dataclass(frozen=True)
class Sampling:
    """How much of each stretch is kept: windows of consecutive instructions, evenly spread."""

    windows: int = 8
    instructions: int = 3000


@dataclass(frozen=True)
class Watched:
    """A program that ended well: what the plugin saw, and what it wrote itself."""

    trace: Trace
    stdout: str


def watch(
    machine: Machine,
    command: Sequence[str],
    timeout_s: float,
    sampling: Sampling = Sampling(),
    environment: Mapping[str, str] | None = None,
) -> Watched:
    """Run a command to its end.

    Args:
        machine: that it sees.
        command: the program, which marks its stretches, and its arguments.
        timeout_s: after which it is ended.
        sampling: of each stretch.
        environment: variables beside those of this process.

    Raises:
        MissingToolError, CompileError: QEMU or the plugin cannot be had.
        BoardCrashError: the program failed; with its last words.
        BoardTimeoutError: it took too long.
    """
    program = emulator(machine.architecture)
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as scratch:
        out = Path(scratch, "trace")
        words = [program, *(["-cpu", machine.cpu] if machine.cpu else [])]
        words += ["-L", str(machine.root)] if machine.root else []
        words += ["-plugin", _plugin(program, machine, sampling, out)]
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
            raise BoardTimeoutError(f"QEMU needs more than {timeout_s:.0f} s for it") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise BoardCrashError(f"under QEMU it failed: {lines[-1][:200]}")
        return Watched(parse_trace(out.read_text(), str(out)), done.stdout)


def _plugin(program: str, machine: Machine, sampling: Sampling, out: Path) -> str:
    arguments = [str(plugin(program)), f"out={out}"]
    arguments += [f"windows={sampling.windows}", f"length={sampling.instructions}"]
    arguments += [f"cache={one.size_bytes}:{one.ways}" for one in machine.caches]
    if machine.architecture == "x86_64" and version_of(program)[0] < _RIGHT_BYTES:
        arguments.append("host=on")
    return ",".join(arguments)
