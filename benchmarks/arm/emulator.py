"""Runs a program as a board would, watched by edgetvm's plugin for QEMU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm.boards import Board, core_of, profile_of
from edgetvm.base.errors import EdgetvmError
from edgetvm.estimate.kernels import CallCost, costs_of, machine_of
from edgetvm.estimate.trace import Run
from edgetvm.estimate.watching import Sampling, watch
from edgetvm.measure.peers.case import Unavailable

_SAMPLING = Sampling(windows=100, instructions=1500)


@dataclass(frozen=True)
class Counted:
    """What the plugin saw of one process.

    Attributes:
        runs: instructions of each marked run, in order; all threads'.
        best: what the run with the fewest costs, beside the marks; None where it has no model.
    """

    runs: tuple[int, ...]
    best: CallCost | None


def counted(
    board: Board,
    root: Path | None,
    command: Sequence[str],
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> Counted:
    """Run a command to its end.

    Args:
        board: whose core it is to see.
        root: of the system that it is to see; None for a static program.
        command: the program, which marks a run of nothing and then others, and its arguments.
        timeout_s: after which it is ended.
        environment: variables beside those of this process.

    Raises:
        Unavailable: it fails, or takes too long.
    """
    machine = dataclasses.replace(machine_of(profile_of(board), core_of(board)), root=root)
    try:
        trace = watch(machine, command, timeout_s, _SAMPLING, environment).trace
        if len(trace.runs) < 2:
            raise Unavailable("it marked no run")
        nothing, *runs = trace.runs
        best = min(runs, key=_total)
        core = core_of(board)
        priced = core.llvm or core.table
        costs = costs_of(trace, [best], core, machine.architecture, _total(nothing))
    except EdgetvmError as error:
        raise Unavailable(error.what) from error
    return Counted(tuple(map(_total, trace.runs)), costs[0] if priced else None)


def _total(run: Run) -> int:
    return run.instructions + run.others
