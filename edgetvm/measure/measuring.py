"""A package on a board, measured: always the file that users deploy, timed on the board."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import step
from edgetvm.base.version import __version__
from edgetvm.base.words import plural
from edgetvm.boards.profile import BoardProfile
from edgetvm.farm.session import BoardSession
from edgetvm.measure.deployment import deploy
from edgetvm.measure.evaluation import evaluate
from edgetvm.measure.kernel_times import time_kernels_on
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.rules import Preset, Rule, Scenario, rule_of
from edgetvm.measure.samples import Chunk, Samples
from edgetvm.measure.scenarios import Load, play
from edgetvm.measure.system_under_test import Queries
from edgetvm.measure.thread_turns import threads_in_turns
from edgetvm.measure.warm_up import WarmUp, warm_up
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Source, reference_for
from edgetvm.package.archive import Package
from edgetvm.package.gate import refusal, tolerance_of
from edgetvm.recipes import Recipe, prepare, samples
from edgetvm.tune.progress import peak_gflops

# Of the time that timed runs may take.
_WARM_UP_SHARE = 1 / 3
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
        target_qps: queries a second, for a server.
        bound_ms: that 99% of a server's queries keep; the recipe's deadline without it.
    """

    runs: int | None = None
    warmup: int | None = None
    max_s: float | None = None
    threads: int | None = None
    allow_mismatch: bool = False
    scenario: Scenario = "single-stream"
    preset: Preset = "rapid"
    target_qps: float | None = None
    bound_ms: float | None = None

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            UsageError: a server without a rate.
        """
        if self.scenario == "server" and self.target_qps is None:
            raise UsageError("a server needs a rate", mend="say how many queries a second: --qps")

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
        return Load(_QUERY_RUNS if self.scenario == "multi-stream" else 1, self.target_qps)


def measure(
    session: BoardSession,
    package: Package,
    profile: BoardProfile,
    *,
    source: Source,
    recipe: Recipe | None = None,
    plan: Plan | None = None,
    steps: Sequence[StepRecord] = (),
) -> Measurement:
    """Deploy a package, test it on the board, and measure it there.

    Args:
        session: with the board, nothing open.
        package: verified.
        profile: of the board.
        source: of the model, for the reference runtime.
        recipe: its data and metrics; without one the package's own sample is run.
        plan: see `Plan`.
        steps: what was done before, for the record.

    Raises:
        NumericError: the board's answers are wrong.
        PackageError: the board cannot run the package.
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    plan = plan or Plan()
    manifest = package.manifest
    facts = session.facts()
    deployment = deploy(session, package, plan.threads, plan.allow_mismatch)
    target, correctness = deployment.target, deployment.correctness
    metrics: dict[str, float] = {}
    service_ns: list[int] = []
    played, warmed = None, WarmUp(plan.warmup or 0, True)
    inputs: Arrays = package.sample_inputs
    stream = None
    if recipe is not None and recipe.data is not None:
        stream = recipe.stream
        with step(f"run the recipe's data on {session.board.name}") as this:
            chosen = samples(recipe)
            inputs = prepare(recipe, chosen[0])
            if stream is not None:
                warmed = _stream_warm_up(session, inputs, plan)
            evaluation = evaluate(
                session,
                manifest.signature,
                reference_for(source),
                recipe=recipe,
                samples=chosen,
                tolerance=tolerance_of(target.options),
            )
            correctness = evaluation.correctness
            metrics.update(evaluation.metrics)
            service_ns += evaluation.service_ns
            this.detail = f"{correctness.max_relative_error:.1e} from {correctness.reference}"
            if not correctness.passed and not plan.allow_mismatch:
                raise refusal(correctness, manifest.name)
    if stream is None:
        system = PackageOnBoard(session, package, plan.threads, inputs)
        warmed = _warm_up(system, plan)
        played = play(system, plan.scenario, plan.rule, plan.load, judged=not profile.emulated)
    else:
        while len(service_ns) < plan.rule.least_count and sum(service_ns) < plan.rule.most_s * 1e9:
            service_ns += session.stream(inputs)[0].tolist()
    samples_ns = Samples.of(service_ns) if played is None else played.samples_ns
    peak_memory_bytes = session.peak_memory_bytes()
    turns = kernel_times = None
    if not profile.emulated and plan.scenario == "single-stream":
        turns = threads_in_turns(session, deployment.opened.threads, samples_ns)
    if not profile.emulated and stream is None:
        with step(f"time the kernels on {session.board.name}"):
            kernel_times = time_kernels_on(session, deployment.opened.threads)
    return Measurement(
        id=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}",
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=manifest.name,
        task=recipe.task if recipe is not None else "",
        scenario=plan.scenario if stream is None else "stream",
        samples_ns=samples_ns,
        warmup=warmed.count,
        settled=warmed.settled,
        kernel_times=kernel_times,
        peak_gflops=peak_gflops(profile) * min(1.0, deployment.opened.threads / profile.cores),
        windows=() if played is None else played.windows,
        rule=plan.rule,
        preset="" if plan.runs is not None else plan.preset,
        runs_per_query=plan.load.runs_per_query,
        target_qps=plan.target_qps,
        open_ns=deployment.opened.open_ns,
        first_run_ns=deployment.opened.first_run_ns,
        peak_memory_bytes=peak_memory_bytes,
        package_sha256=package.sha256,
        package_size_bytes=package.size_bytes,
        library_size_bytes=manifest.sizes_bytes[target.library],
        deadline_ms=plan.bound_ms or (recipe.deadline_ms if recipe is not None else None),
        chunk_ms=stream.chunk_ms if stream is not None else None,
        correctness=correctness,
        metrics=metrics,
        kernels=target.kernels,
        environment=_environment(
            session.board.name, profile, facts, package, deployment.opened.threads
        ),
        steps=tuple(steps),
        options=target.options,
        memory=target.memory,
        thread_turns=turns,
    )


def _warm_up(system: PackageOnBoard, plan: Plan) -> WarmUp:
    """The runs before the first sample, on the inputs of the measurement."""
    system.set_inputs()
    if plan.scenario == "cold-start":
        return WarmUp(0, True)
    most_s = plan.rule.most_s * _WARM_UP_SHARE

    def take(count: int, max_s: float) -> Chunk:
        return system.time_queries(Queries(count, max_s)).service_ns

    if plan.warmup is not None:
        return WarmUp(len(take(plan.warmup, most_s)), True)
    with step("warm up") as this:
        found = warm_up(take, most_s)
        this.detail = plural(found.count, "run") + ("" if found.settled else ", not settled")
    return found


def _stream_warm_up(session: BoardSession, inputs: Arrays, plan: Plan) -> WarmUp:
    """The first chunks of the signal, as often as is needed."""

    def take(count: int, _max_s: float) -> Chunk:
        return session.stream({name: array[:count] for name, array in inputs.items()})[0]

    if plan.warmup is not None:
        return WarmUp(len(take(plan.warmup, 0.0)) if plan.warmup else 0, True)
    return warm_up(take, plan.rule.most_s * _WARM_UP_SHARE)


def _environment(
    device: str, profile: BoardProfile, facts: dict[str, Any], package: Package, threads: int
) -> Environment:
    return Environment(
        device=device,
        profile=profile.name,
        emulated=profile.emulated,
        cpu=facts["cpu"],
        machine=facts["machine"],
        kernel=facts["kernel"],
        threads=threads,
        cores=facts["cores"],
        governor=facts["governor"],
        load_average=facts["load_average"],
        versions={"edgetvm": __version__, **package.manifest.provenance.versions},
    )
