"""Runs compiled kernels by the program `replay/main.c`: under QEMU to be watched, or timed here."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgetvm.base.errors import BoardCrashError
from edgetvm.estimate.tools import replay
from edgetvm.estimate.trace import Run, Trace
from edgetvm.estimate.watching import Machine, Sampling, watch

# Twice: the first time finds cold caches.
_RUNS = 2


class Argument(Protocol):
    """A kernel's argument: shape and dtype."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""

    @property
    def dtype(self) -> str:
        """As numpy names it."""


@dataclass(frozen=True)
class Program:
    """Kernels to run.

    Attributes:
        library: a shared object: a model's, or with a kernel.
        content: what a model's inputs, or a kernel's tensors, hold, one behind the other; what is
            left out is zero.
        arguments: of a kernel; empty for a model.
        function: the kernel's name in the library.
    """

    library: bytes
    content: bytes = b""
    arguments: tuple[Argument, ...] = ()
    function: str = "main"


@dataclass(frozen=True)
class Replayed:
    """A program that was watched.

    Attributes:
        names: of the kernels, call by call.
        runs: of the last round, one for each call.
        nothing: instructions of a stretch that does nothing.
    """

    trace: Trace
    names: tuple[str, ...]
    runs: tuple[Run, ...]
    nothing: int


@dataclass(frozen=True)
class Timed:
    """A program that was timed: the least of many repetitions.

    Attributes:
        run_ns: of all calls.
        calls_ns: of each call by itself, among the others: what disturbs one spares the others.
        cycle_ns: of an addition that waits for the one before.
    """

    run_ns: float
    calls_ns: tuple[float, ...]
    cycle_ns: float


def replayed(
    program: Program,
    machine: Machine,
    timeout_s: float,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
) -> Replayed:
    """Run a program's kernels under QEMU.

    Raises:
        as `edgetvm.estimate.watching.watch`, and of building the program that runs them.
    """
    with _written(program, machine.architecture) as (command, kernel):
        done = watch(machine, [*command, str(_RUNS), "0", *kernel], timeout_s, sampling)
    names = tuple(words[1] for words in map(str.split, done.stdout.splitlines()))
    nothing, *runs = done.trace.runs[-1 - len(names) :]
    return Replayed(done.trace, names, tuple(runs), nothing.instructions)


def timed(program: Program, for_ms: int, timeout_s: float = 120) -> Timed:
    """Time a program's kernels on this machine, on one core.

    Args:
        program: whose code this machine runs.
        for_ms: how long its run is repeated, and once more call by call.
        timeout_s: after which it is ended.

    Raises:
        BoardCrashError: it failed; with its last words.
    """
    with _written(program, platform.machine()) as (command, kernel):
        done = subprocess.run(
            [*command, "2", str(for_ms), *kernel],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    if done.returncode:
        raise BoardCrashError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    run, *calls, add = (line.split() for line in done.stdout.splitlines())
    each = tuple(float(words[-1]) for words in calls)
    return Timed(float(run[-1]), each, float(add[-1]) / 1e3)


@contextmanager
def _written(program: Program, architecture: str) -> Iterator[tuple[list[str], Sequence[str]]]:
    runner = replay(architecture)
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as scratch:
        library, content = Path(scratch, "kernels.so"), Path(scratch, "content")
        library.write_bytes(program.library)
        content.write_bytes(program.content)
        tensors = [f"{one.dtype}:{','.join(map(str, one.shape))}" for one in program.arguments]
        kernel = [program.function, *tensors] if tensors else []
        yield [str(runner), str(library), str(content)], kernel
