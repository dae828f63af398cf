"""What is known of one trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, get_args

from edgetvm.compile.options import OptLevel
from edgetvm.compile.tuned import KernelChoice

Outcome = Literal[
    "ok", "build error", "timeout", "crash", "wrong result", "board lost", "not priced"
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Conditions:
    """For what and where trials are made.

    Attributes:
        profile: name of the board profile.
        architecture: of its cores, as `aarch64`.
        level: of optimisation, as `-O` takes it.
        cores: that a kernel is shared among; with another number another schedule is fastest.
        estimated: times come from a model of the core, not from a board.
    """

    profile: str
    architecture: str
    level: OptLevel
    cores: int
    estimated: bool = False

    @property
    def key(self) -> tuple[str, OptLevel, int, bool]:
        """What trials must share to be compared: all but what follows from the profile."""
        return self.profile, self.level, self.cores, self.estimated


@dataclass(frozen=True)
class Trial:
    """One candidate and what became of it.

    Attributes:
        task: key of the kernel that the default compilation makes.
        workload: key of the kernel that was scheduled; another one where operators are decided
            otherwise.
        choice: its schedule.
        operators: decisions before there are kernels, by operator key and name.
        outcome: how it ended.
        times_ms: mean of each repetition, raw; empty where it did not run.
        default_ms: median of the default schedule in the same session, the yardstick of its time.
        error: in words, where it failed.
        board: that ran it.
        environment: what the board said of itself.
    """

    task: str
    workload: str
    choice: KernelChoice
    operators: Mapping[str, Mapping[str, str]]
    outcome: Outcome
    times_ms: tuple[float, ...] = ()
    default_ms: float = 0.0
    error: str = ""
    board: str = ""
    environment: Mapping[str, object] = field(default_factory=dict)

    @property
    def latency_ms(self) -> float:
        """The median of its repetitions; infinite where it failed."""
        return median(self.times_ms) if self.outcome == "ok" and self.times_ms else float("inf")

    @property
    def ratio(self) -> float:
        """Its latency over the default's in the same session; infinite where it failed."""
        return self.latency_ms / self.default_ms if self.default_ms > 0 else float("inf")

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether its time has no yardstick: it was imported, and is worth measuring first."""
        return self.outcome == "ok" and self.default_ms <= 0

    @property
    def is_default(self) -> bool:
        """Whether nothing is decided otherwise than untuned."""
        return not self.choice.decisions and self.choice.trace is None and not self.operators
