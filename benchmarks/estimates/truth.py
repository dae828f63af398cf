"""What kernels and models really take on this machine: the least of many repetitions, in several
processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgetvm.estimate.replaying import Program, timed

_KERNEL_MS = 40
_MODEL_MS = 1000


@dataclass(frozen=True)
class Truth:
    """One kernel.

    Attributes:
        ms: of one call.
        mhz: of the core meanwhile.
        load: of the machine in the last minute.
    """

    ms: float
    mhz: float
    load: float

    @property
    def cycles(self) -> float:
        """Of one call."""
        return self.ms * self.mhz * 1e3


def truths(named: Sequence[tuple[str, Program]], file: Path, rounds: int) -> dict[str, Truth]:
    """Time each in turns, so that what disturbs one round spares another; what is known is kept.

    Args:
        named: to time.
        file: with what was measured before; the smaller time counts.
        rounds: to add.
    """
    known = {name: Truth(**one) for name, one in _read(file).items()}
    for _ in range(rounds):
        for name, program in named:
            found = _timed(program, _KERNEL_MS)
            before = known.get(name)
            if before is None or found.cycles < before.cycles:
                known[name] = found
        file.write_text(json.dumps({name: asdict(one) for name, one in known.items()}, indent=1))
    return known


@dataclass(frozen=True)
class WholeTruth:
    """A model's run.

    Attributes:
        calls: cycles of each kernel call among the others, its least.
        run: the least of whole runs; longer than all calls where few runs are undisturbed.
    """

    calls: tuple[float, ...]
    run: float

    @property
    def cycles(self) -> float:
        """Of a run that nothing disturbs: both are upper bounds, but for what reading a clock
        costs."""
        return min(sum(self.calls), self.run)


def whole_truth(program: Program, file: Path, rounds: int) -> WholeTruth:
    """The least of so many processes, and of those whose times are in the file."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    key = hashlib.sha256(program.library).hexdigest()
    found = [WholeTruth(tuple(one["calls"]), one["run"]) for one in kept.get(key, [])]
    for _ in range(rounds if found else max(1, rounds)):
        one = timed(program, _MODEL_MS)
        calls = tuple(ns / one.cycle_ns for ns in one.calls_ns)
        found.append(WholeTruth(calls, one.run_ns / one.cycle_ns))
    file.write_text(json.dumps({**kept, key: [asdict(one) for one in found]}))
    each = zip(*(one.calls for one in found), strict=True)
    return WholeTruth(tuple(map(min, each)), min(one.run for one in found))


def _read(file: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _timed(program: Program, for_ms: int) -> Truth:
    found = timed(program, for_ms)
    return Truth(found.run_ns / 1e6, 1e3 / found.cycle_ns, os.getloadavg()[0])
