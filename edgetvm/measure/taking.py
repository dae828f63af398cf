"""The timed runs of a measurement: a scenario, a stream, or streams in real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.boards.profile import BoardProfile
from edgetvm.measure.highest_rate import RateSearch, play_highest_rate
from edgetvm.measure.pacing import RealTimePlan, run_in_real_time
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.plan import Plan
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.rules import Rule, Scenario
from edgetvm.measure.samples import Chunk, Samples
from edgetvm.measure.scenarios import play, play_stream
from edgetvm.measure.system_under_test import Queries
from edgetvm.measure.warm_up import WarmUp, warm_up
from edgetvm.measure.windows import Window
from edgetvm.recipes import Recipe, Sample, StreamSpec

# Of the time that timed runs may take.
_WARM_UP_SHARE = 1 / 3


@dataclass(frozen=True)
class Taken:
    """The samples, and how they were taken: see the same fields of `Measurement`."""

    scenario: Scenario
    samples_ns: Samples
    warmed: WarmUp
    windows: tuple[Window, ...]
    deadline_ms: float | None
    rule: Rule | None = None
    chunk_ms: float | None = None
    real_time: RealTime | None = None
    target_qps: float | None = None
    rate_search: RateSearch | None = None


def take(
    system: PackageOnBoard,
    profile: BoardProfile,
    plan: Plan,
    recipe: Recipe | None,
    chosen: Sequence[Sample],
) -> Taken:
    """Warm up, and take the samples of a plan.

    Args:
        system: open, with the inputs of timed runs; of a stream, its chunks.
        profile: of the board.
        plan: see `Plan`.
        recipe: whose data decides about streams.
        chosen: samples of the recipe.

    Raises:
        UsageError: a plan in real time does not say how often chunks come.
        BoardError: the board failed.
    """
    judged = not profile.emulated
    stream = recipe.stream if recipe is not None and recipe.data is not None else None
    if plan.real_time is not None:
        return _in_real_time(system, plan, plan.real_time, recipe, chosen)
    if stream is not None:
        return _of_stream(system, plan, recipe, stream, judged)
    return _of_scenario(system, plan, recipe, judged)


def _in_real_time(
    system: PackageOnBoard,
    plan: Plan,
    pace: RealTimePlan,
    recipe: Recipe | None,
    chosen: Sequence[Sample],
) -> Taken:
    warmed = WarmUp(plan.warmup or 0, True)
    if recipe is not None and recipe.stream is not None:
        warmed = _warmed_stream(system, plan)
    run, window = run_in_real_time(
        system.session, system.package, pace, recipe=recipe, samples=chosen
    )
    return Taken(
        "real-time",
        Samples.of(run.service_ns),
        warmed,
        (window,),
        run.deadline_ms,
        chunk_ms=run.period_ms,
        real_time=run,
    )


def _of_stream(
    system: PackageOnBoard, plan: Plan, recipe: Recipe | None, stream: StreamSpec, judged: bool
) -> Taken:
    """Each call sends the chunks and brings outputs: so many chunks are asked for, and no time."""
    warmed = _warmed_stream(system, plan)
    rule = replace(plan.rule, least_s=0.0)
    played = play_stream(system, system.run_stream, rule, judged=judged)
    return Taken(
        "stream",
        played.samples_ns,
        warmed,
        played.windows,
        plan.deadline_ms(recipe),
        rule,
        stream.chunk_ms,
    )


def _of_scenario(system: PackageOnBoard, plan: Plan, recipe: Recipe | None, judged: bool) -> Taken:
    warmed = _warmed(system, plan)
    rule, qps, search = plan.rule, plan.load.target_qps, None
    bound_ms = plan.deadline_ms(recipe)
    if plan.scenario == "server" and qps is None and bound_ms is not None:
        played, qps, search = play_highest_rate(system, rule, bound_ms, judged=judged)
    else:
        played = play(system, plan.scenario, rule, plan.load, judged=judged)
    return Taken(
        plan.scenario,
        played.samples_ns,
        warmed,
        played.windows,
        bound_ms,
        rule,
        target_qps=qps,
        rate_search=search,
    )


def _warmed(system: PackageOnBoard, plan: Plan) -> WarmUp:
    """The runs before the first sample, on the inputs of the measurement."""
    system.set_inputs()
    if plan.scenario == "cold-start":
        return WarmUp(0, True)

    def run(count: int, max_s: float) -> Chunk:
        return system.time_queries(Queries(count, max_s)).service_ns

    return _settled(run, plan)


def _warmed_stream(system: PackageOnBoard, plan: Plan) -> WarmUp:
    """The first chunks of the signal, as often as is needed."""

    def run(count: int, _max_s: float) -> Chunk:
        return system.run_stream(count)

    return _settled(run, plan)


def _settled(run: Callable[[int, float], Chunk], plan: Plan) -> WarmUp:
    most_s = plan.rule.most_s * _WARM_UP_SHARE
    if plan.warmup is not None:
        return WarmUp(len(run(plan.warmup, most_s)) if plan.warmup else 0, True)
    with step("warm up") as this:
        found = warm_up(run, most_s)
        this.detail = plural(found.count, "run") + ("" if found.settled else ", not settled")
    return found
