"""What one call of a kernel costs on a core, estimated."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.boards.core import CoreModel
from edgetvm.boards.profile import BoardProfile
from edgetvm.estimate.code import texts_of
from edgetvm.estimate.memory import cycles_with_memory
from edgetvm.estimate.pricing import cycles_of
from edgetvm.estimate.spills import spilled_share
from edgetvm.estimate.tables import table_cycles_of
from edgetvm.estimate.trace import Run, Trace
from edgetvm.estimate.watching import CacheLevel, Machine

# The first instructions of a window fill the pipeline: they are priced alone, and taken off.
_LEAD_IN = 500


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
        return [_cost(run, nothing, core.cycles_per_instruction, core, 0.0) for run in runs]
    used = {number for run in runs for window in run.windows for number in window}
    texts = texts_of((code for one in used for code in trace.blocks[one].codes), architecture)
    windows = [
        [[texts[code] for code in trace.codes(window)] for window in run.windows] for run in runs
    ]
    found = iter(_rates([window for of_run in windows for window in of_run], core, architecture))
    costs = []
    for run, mine in zip(runs, windows, strict=True):
        rate = _mean([next(found) for _ in mine], [len(window) for window in mine])
        spilled = spilled_share(mine, architecture)
        costs.append(_cost(run, nothing, rate, core, spilled))
    return costs


def _rates(windows: Sequence[Sequence[str]], core: CoreModel, architecture: str) -> Sequence[float]:
    """Cycles an instruction of each window, without what it costs to fill an empty pipeline."""
    cut = [window[:_LEAD_IN] for window in windows]
    whole, begun = (
        cycles_of(some, core, architecture) if core.llvm else table_cycles_of(some, core.table)
        for some in (windows, cut)
    )
    return [
        (cycles - before) / (len(window) - _LEAD_IN)
        if len(window) >= 2 * _LEAD_IN
        else cycles / max(1, len(window))
        for window, cycles, before in zip(windows, whole, begun, strict=True)
    ]


def _mean(rates: Sequence[float], weights: Sequence[int]) -> float:
    total = sum(weights)
    return sum(map(operator.mul, rates, weights)) / total if total else 0.0


def _cost(run: Run, nothing: int, rate: float, core: CoreModel, spilled: float) -> CallCost:
    instructions = run.instructions - nothing
    core_cycles = instructions * rate
    cycles = cycles_with_memory(core_cycles, run.misses, core)
    return CallCost(instructions, core_cycles, cycles - core_cycles, spilled)
