"""How far a search is, as a terminal or a report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgetvm.boards.roofline import Bound, Roofline, share_of

BoardState = Literal["busy", "idle", "lost"]


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
        bound: what it can take at least; None where that is not known.
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
    bound: Bound | None
    left: int

    @property
    def gain(self) -> float:
        """The default's latency over the best."""
        return self.default_ms / self.best_ms if self.best_ms else 1.0

    @property
    def of_bound(self) -> float | None:
        """See `edgetvm.boards.roofline.share_of`."""
        return share_of(self.bound, self.best_ms)


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
        roofline: of the boards.
        environments: what each board last said of itself, by name.
        cores: that trials are kept for.
        estimated: whether all times are estimates, and nothing is measured.
    """

    tasks: tuple[TaskProgress, ...]
    trials: int
    outcomes: Mapping[str, int]
    boards: Mapping[str, BoardState]
    elapsed_s: float
    left_s: float | None
    roofline: Roofline
    environments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    cores: int = 0
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
