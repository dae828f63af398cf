"""How a package is measured, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgetvm.base.errors import UsageError
from edgetvm.measure.pacing import RealTimePlan
from edgetvm.measure.rules import Preset, Rule, Scenario, rule_of
from edgetvm.measure.scenarios import RATE_MEND, Load
from edgetvm.recipes import Recipe

_MOST_S = 30.0
_QUERY_RUNS = 8  # of a multi-stream query: MLPerf's rules


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        runs: timed runs, so many and no more; for a stream, at least so many chunks. Without it
            the preset says how many, and how long.
        warmup: untimed runs before them; found from the data without it.
        max_s: no new run begins after so many seconds; the preset's limit without it.
        threads: to run on; all cores of the board without it.
        allow_mismatch: measure a model that is wrong, and say so, instead of refusing it.
        scenario: how queries come.
        preset: see `edgetvm.measure.rules`.
        target_qps: queries a second, for a server; `most` finds the highest rate that keeps the
            bound.
        bound_ms: that 99% of a server's queries keep; the recipe's deadline without it.
        real_time: feed it chunk by chunk as they would arrive, instead of a scenario.
        peers: other runtimes to time in turns with it, see `edgetvm.measure.beside`.
        against: the float model that a quantised one was made from; how far the board agrees with
            it on the recipe's data is among the metrics.
        layers: compare each layer with it too, see `edgetvm.workflow.layer_agreement`.
        explained: time kernels, and one thread beside all, after the runs.
    """

    runs: int | None = None
    warmup: int | None = None
    max_s: float | None = None
    threads: int | None = None
    allow_mismatch: bool = False
    scenario: Scenario = "single-stream"
    preset: Preset = "rapid"
    target_qps: float | Literal["most"] | None = None
    bound_ms: float | None = None
    real_time: RealTimePlan | None = None
    peers: tuple[str, ...] = ()
    against: str | None = None
    layers: bool = False
    explained: bool = True

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            UsageError: a server without a rate.
        """
        if self.scenario == "server" and self.target_qps is None:
            raise UsageError("a server needs a rate", mend=RATE_MEND)

    @property
    def rule(self) -> Rule:
        """When there is enough."""
        if self.runs is not None:
            return Rule(self.runs, 0.0, self.max_s or _MOST_S)
        rule = rule_of(self.scenario, self.preset)
        return rule if self.max_s is None else replace(rule, most_s=self.max_s)

    @property
    def load(self) -> Load:
        """How queries come."""
        qps = None if self.target_qps == "most" else self.target_qps
        return Load(_QUERY_RUNS if self.scenario == "multi-stream" else 1, qps)

    def deadline_ms(self, recipe: Recipe | None) -> float | None:
        """What one run may take, outside of real time."""
        return self.bound_ms or (recipe.deadline_ms if recipe is not None else None)

    def check_bound(self, recipe: Recipe | None, name: str) -> None:
        """See that what a server must keep is known where its highest rate is wanted.

        Raises:
            UsageError: it is not; `name` is the model's.
        """
        wanted = self.scenario == "server" and self.target_qps == "most"
        if wanted and not self.deadline_ms(recipe):
            raise UsageError(
                "nothing says what 99% of the queries must keep",
                where=name,
                mend="give it: --bound 20, or a recipe with `deadline_ms`",
            )
