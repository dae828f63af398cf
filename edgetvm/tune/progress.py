"""How far a search is, as a terminal or a report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgetvm.boards.profile import BoardProfile

BoardState = Literal["busy", "idle", "lost"]


def peak_gflops(profile: BoardProfile) -> float:
    """What all cores of a board can do, a multiply-add counted as two operations."""
    return 2 * profile.multiply_adds * profile.clock_mhz * profile.cores / 1e3


def gflops_of(multiply_adds: int, latency_ms: float) -> float:
    """A multiply-add counted as two operations; 0 where the latency is not known."""
    return 2 * multiply_adds / latency_ms / 1e6 if latency_ms else 0.0


def share_of_peak(gflops: float, peak_gflops: float, in_floats: bool) -> float | None:
    """How much of what all cores can do in float32 a kernel does, 0 to 1.

    Returns:
        None where there is no such bound: kernels of 8-bit numbers; a clock above the profile's,
        which is the present one where a machine tells no highest; Winograd's form, whose
        multiply-adds are counted as the direct form's and are fewer.
    """
    share = gflops / peak_gflops if peak_gflops else 0.0
    return share if in_floats and 0 < share <= 1 else None


@dataclass(frozen=True)
class TaskProgress:
    """One task.

    Attributes:
        name: of its default kernel.
        description: its operators with their shapes.
        calls: in a run of the model.
        share: of the model's time, with default schedules, 0 to 1.
        trials: measured, failed ones included, of all searches.
        default_ms, best_ms: of one call; 0 where they are not known yet.
        gflops: at the best latency, a multiply-add counted as two operations.
        of_peak: see `share_of_peak`.
        left: candidates that were not tried.
    """

    name: str
    description: str
    calls: int
    share: float
    trials: int
    default_ms: float
    best_ms: float
    gflops: float
    of_peak: float | None
    left: int

    @property
    def gain(self) -> float:
        """The default's latency over the best."""
        return self.default_ms / self.best_ms if self.best_ms else 1.0


@dataclass(frozen=True)
class Progress:
    """All of a search.

    Attributes:
        tasks: those that take most of the model's time first.
        trials: of this search.
        outcomes: how often each came.
        boards: by name, what each is doing.
        elapsed_s: of this run, what was spent before it was stopped included.
        left_s: estimated until the budget is used up; None where it is not known.
        peak_gflops: of the board, all its cores, by its profile.
        environments: what each board last said of itself, by name.
        estimated: whether all times are estimates, and nothing is measured.
    """

    tasks: tuple[TaskProgress, ...]
    trials: int
    outcomes: Mapping[str, int]
    boards: Mapping[str, BoardState]
    elapsed_s: float
    left_s: float | None
    peak_gflops: float
    environments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    estimated: bool = False

    @property
    def trials_per_s(self) -> float:
        """Since it began."""
        return self.trials / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def default_ms(self) -> float:
        """All kernels of a run with default schedules."""
        return sum(one.calls * one.default_ms for one in self.tasks)

    @property
    def best_ms(self) -> float:
        """All kernels of a run with the best schedules so far."""
        return sum(one.calls * (one.best_ms or one.default_ms) for one in self.tasks)
