"""What kernels really take on this machine: the least of many repetitions, in several processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgetvm.estimate.replaying import Program, timed

_KERNEL_MS = 40
# Runs of a whole model are long, and few of them are undisturbed.
_MODEL_MS = 1000


@dataclass(frozen=True)
class Truth:
    """One kernel, or all of a model's.

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


def least(program: Program, rounds: int) -> Truth:
    """The least of so many processes."""
    return min((_timed(program, _MODEL_MS) for _ in range(rounds)), key=lambda one: one.cycles)


def _read(file: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _timed(program: Program, for_ms: int) -> Truth:
    found = timed(program, for_ms)
    return Truth(found.run_ns / 1e6, 1e3 / found.cycle_ns, os.getloadavg()[0])
