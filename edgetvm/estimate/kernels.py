"""What one call of a kernel costs on a core, estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.boards.core import CoreModel
from edgetvm.boards.profile import BoardProfile
from edgetvm.estimate.code import texts_of
from edgetvm.estimate.pricing import cycles_of
from edgetvm.estimate.spills import spilled_share
from edgetvm.estimate.tables import table_cycles_of
from edgetvm.estimate.trace import Misses, Run, Trace
from edgetvm.estimate.watching import CacheLevel, Machine


@dataclass(frozen=True)
class CallCost:
    """One call of a kernel.

    Attributes:
        instructions: that it executed.
        core_cycles: that the core computes.
        stall_cycles: that it waits for memory beside.
        spilled: share of instructions that store vectors on the stack.
    """

    instructions: int
    core_cycles: float
    stall_cycles: float
    spilled: float

    @property
    def cycles(self) -> float:
        """All of them."""
        return self.core_cycles + self.stall_cycles


def machine_of(profile: BoardProfile, core: CoreModel) -> Machine:
    """The machine that a profile's code is watched on."""
    cache = profile.cache
    levels = [CacheLevel(cache.l1d_bytes, core.l1d_ways), CacheLevel(cache.l2_bytes, core.l2_ways)]
    if cache.l3_bytes:
        levels.append(CacheLevel(cache.l3_bytes, core.l3_ways))
    return Machine(profile.architecture, core.emulated, tuple(levels))


def costs_of(
    trace: Trace, runs: Sequence[Run], core: CoreModel, architecture: str, nothing: int = 0
) -> list[CallCost]:
    """What each run costs.

    Args:
        trace: of the program.
        runs: of it, each one call.
        core: that it is priced for.
        architecture: of its code.
        nothing: instructions of a run of nothing.

    Raises:
        CompileError, MissingToolError: LLVM cannot price the code, or is not installed.
    """
    if not core.llvm and not core.table:
        return [_counted(run, core, nothing) for run in runs]
    used = {number for run in runs for window in run.windows for number in window}
    texts = texts_of((code for one in used for code in trace.blocks[one].codes), architecture)
    windows = [
        [[texts[code] for code in trace.codes(window)] for window in run.windows] for run in runs
    ]
    flat = [window for of_run in windows for window in of_run]
    found = iter(
        cycles_of(flat, core, architecture) if core.llvm else table_cycles_of(flat, core.table)
    )
    costs = []
    for run, mine in zip(runs, windows, strict=True):
        rate = sum(next(found) for _ in mine) / max(1, sum(map(len, mine)))
        instructions = run.instructions - nothing
        spilled = spilled_share(mine, architecture)
        costs.append(CallCost(instructions, instructions * rate, stalls(run.misses, core), spilled))
    return costs


def _counted(run: Run, core: CoreModel, nothing: int) -> CallCost:
    """By the number of instructions alone."""
    instructions = run.instructions - nothing
    cycles = instructions * core.cycles_per_instruction
    return CallCost(instructions, cycles, stalls(run.misses, core), 0.0)


def stalls(misses: Sequence[Misses], core: CoreModel) -> float:
    """Cycles that a core waits for memory."""
    return sum(
        cost.random * (one.loads + one.stores)
        + cost.foreseen * (one.foreseen_loads + one.foreseen_stores)
        for one, cost in zip(misses, core.misses, strict=False)
    )
