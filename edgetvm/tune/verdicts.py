"""What a search came to, kernel by kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgetvm.boards.roofline import Bound, gflops_of, share_of
from edgetvm.farm.inventory import Board
from edgetvm.tune.progress import Progress

# What became of a candidate that looked faster than the default while it was searched.
Fate = Literal[
    "taken",
    "not compared: others looked faster still",
    "slower than the default in turns with it",
    "less than 3 % faster in turns with the default",
    "slower than another candidate",
    "wrong or failed when it was compared",
    "taken back: the whole model was no faster with it",
]


@dataclass(frozen=True)
class TunedKernel:
    """The verdict on one kernel.

    Attributes:
        key: of its task in the database.
        name: of the kernel that the default compilation makes.
        description: its operators with their shapes.
        calls: in a run of the model.
        multiply_adds: of one call.
        default_ms: latency of one call untuned.
        best_ms: with the schedule that is taken now; the default's where none beats it.
        trials: measured, of all searches.
        fates: of its candidates that looked faster and were not judged before.
        bound: what it can take at least; None where that is not known.
    """

    key: str
    name: str
    description: str
    calls: int
    multiply_adds: int
    default_ms: float
    best_ms: float
    trials: int
    fates: tuple[Fate, ...] = ()
    bound: Bound | None = None

    @property
    def of_bound(self) -> float | None:
        """See `edgetvm.boards.roofline.share_of`."""
        return share_of(self.bound, self.best_ms)

    @property
    def gain(self) -> float:
        """The default's latency over the one that is taken."""
        return self.default_ms / self.best_ms if self.best_ms else 1.0

    @property
    def gflops(self) -> float:
        """With the schedule that is taken, a multiply-add counted as two operations."""
        return gflops_of(self.multiply_adds, self.best_ms)

    @property
    def saved_ms(self) -> float:
        """Of a run of the model, as far as kernels by themselves tell."""
        return self.calls * (self.default_ms - self.best_ms)


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Attributes:
        trials: of this run, failed ones included.
        kernels: of the model.
        progress: at its end.
        boards: that were there to the end.
    """

    trials: int
    kernels: tuple[TunedKernel, ...]
    progress: Progress
    boards: tuple[Board, ...] = ()

    @property
    def default_ms(self) -> float:
        """All kernels of a run with default schedules."""
        return sum(one.calls * one.default_ms for one in self.kernels)

    @property
    def best_ms(self) -> float:
        """All kernels of a run with the schedules that are taken."""
        return sum(one.calls * one.best_ms for one in self.kernels)

    @property
    def fates(self) -> Mapping[Fate, int]:
        """What became of the candidates that looked faster, of all kernels."""
        return Counter(fate for one in self.kernels for fate in one.fates)
