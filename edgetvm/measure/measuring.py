"""A package on a board, measured: always the file that users deploy, timed on the board."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from edgetvm.base.errors import AccuracyError, UsageError
from edgetvm.base.steps import step
from edgetvm.base.version import __version__
from edgetvm.base.words import plural
from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import roofline_of
from edgetvm.farm.session import BoardSession
from edgetvm.measure.beside import measure_beside
from edgetvm.measure.deployment import Deployment, deploy
from edgetvm.measure.evaluation import evaluate
from edgetvm.measure.kernel_times import time_kernels_on
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.pacing import RealTimePlan, run_in_real_time
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.rules import Preset, Rule, Scenario, rule_of
from edgetvm.measure.samples import Chunk, Samples
from edgetvm.measure.scenarios import Load, play
from edgetvm.measure.system_under_test import Queries
from edgetvm.measure.thread_turns import threads_in_turns
from edgetvm.measure.warm_up import WarmUp, warm_up
from edgetvm.measure.windows import Window
from edgetvm.models.correctness import Correctness
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Source, reference_for
from edgetvm.package.archive import Package
from edgetvm.package.gate import refusal, tolerance_of
from edgetvm.recipes import (
    Confusion,
    Recipe,
    Sample,
    StreamSpec,
    Track,
    prepare,
    samples,
    unmet,
    with_audio,
)

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
    target_qps: float | None = None
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
    original: Source | None = None,
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
        original: of the float model that a quantised one was made from: how far the board agrees
            with it is among the metrics.

    Raises:
        NumericError: the board's answers are wrong.
        AccuracyError: they are less accurate than the recipe accepts.
        PackageError: the board cannot run the package.
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    plan = plan or Plan()
    if recipe is not None and plan.real_time is not None and plan.real_time.audio is not None:
        recipe = with_audio(recipe, plan.real_time.audio)
    manifest = package.manifest
    facts = session.facts()
    deployment = deploy(session, package, plan.threads, plan.allow_mismatch)
    target, threads = deployment.target, deployment.opened.threads
    data = _Data(package.sample_inputs, deployment.correctness, WarmUp(plan.warmup or 0, True))
    if recipe is not None and recipe.data is not None:
        data = _with_data(session, deployment, package, source, recipe, plan, original)
    taken = _take(session, package, profile, plan, recipe, data)
    peak_memory_bytes = session.peak_memory_bytes()
    turns = kernel_times = None
    explained = plan.explained and not profile.emulated
    if explained and plan.scenario == "single-stream":
        turns = threads_in_turns(session, threads, taken.samples_ns)
    if explained and data.stream is None:
        with step(f"time the kernels on {session.board.name}"):
            kernel_times = time_kernels_on(session, threads)
    beside = None
    if plan.peers:
        one = data.inputs
        if data.stream is not None:
            one = {name: array[0] for name, array in one.items()}
        given = {**manifest.signature.initial_states(), **one}
        beside = measure_beside(session, source, given, plan.peers, threads)
    return Measurement(
        id=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}",
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=manifest.name,
        task=recipe.task if recipe is not None else "",
        scenario=taken.scenario,
        samples_ns=taken.samples_ns,
        warmup=taken.warmed.count,
        settled=taken.warmed.settled,
        kernel_times=kernel_times,
        peak_gflops=roofline_of(profile, threads).gflops,
        windows=taken.windows,
        rule=plan.rule if taken.real_time is None else None,
        preset="" if plan.runs is not None or taken.real_time is not None else plan.preset,
        runs_per_query=plan.load.runs_per_query,
        target_qps=plan.target_qps,
        open_ns=deployment.opened.open_ns,
        first_run_ns=deployment.opened.first_run_ns,
        peak_memory_bytes=peak_memory_bytes,
        package_sha256=package.sha256,
        package_size_bytes=package.size_bytes,
        library_size_bytes=manifest.sizes_bytes[target.library],
        deadline_ms=_deadline_ms(plan, recipe, taken.real_time),
        chunk_ms=_chunk_ms(data.stream, taken.real_time),
        correctness=data.correctness,
        metrics=data.metrics,
        kernels=target.kernels,
        environment=_environment(session.board.name, profile, facts, package, threads),
        steps=tuple(steps),
        options=target.options,
        memory=target.memory,
        thread_turns=turns,
        real_time=taken.real_time,
        beside=beside,
        confusion=data.confusion,
        track=data.track,
    )


@dataclass(frozen=True)
class _Data:
    """What is run, and what the board answered to it.

    Attributes:
        inputs: of timed runs; of a stream, its chunks.
        warmed: runs that were made before, of a stream.
        stream: of the recipe; None where it is none.
        chosen: samples of the recipe.
        service_ns: of the chunks that were run to be compared.
    """

    inputs: Arrays
    correctness: Correctness
    warmed: WarmUp
    stream: StreamSpec | None = None
    chosen: tuple[Sample, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    confusion: Confusion | None = None
    track: Track | None = None
    service_ns: tuple[int, ...] = ()


def _with_data(
    session: BoardSession,
    deployment: Deployment,
    package: Package,
    source: Source,
    recipe: Recipe,
    plan: Plan,
    original: Source | None,
) -> _Data:
    """Run the recipe's data on the board, and compare."""
    with step(f"run the recipe's data on {session.board.name}") as this:
        chosen = samples(recipe)
        inputs = prepare(recipe, chosen[0])
        warmed = WarmUp(0, True)
        if recipe.stream is not None:
            warmed = _stream_warm_up(session, inputs, plan)
        evaluation = evaluate(
            session,
            package.manifest.signature,
            reference_for(source),
            recipe=recipe,
            samples=chosen,
            tolerance=tolerance_of(deployment.target.options),
            original=reference_for(original) if original is not None else None,
        )
        correctness = evaluation.correctness
        this.detail = f"{correctness.max_relative_error:.1e} from {correctness.reference}"
        if not correctness.passed and not plan.allow_mismatch:
            raise refusal(correctness, package.manifest.name)
        missed = unmet(recipe, evaluation.metrics)
        if missed and not plan.allow_mismatch:
            raise AccuracyError(
                "; ".join(missed),
                where=package.manifest.name,
                mend="see its data; --allow-mismatch measures it all the same",
            )
    return _Data(
        inputs,
        correctness,
        warmed,
        recipe.stream,
        chosen,
        evaluation.metrics,
        evaluation.confusion,
        evaluation.track,
        evaluation.service_ns,
    )


@dataclass(frozen=True)
class _Taken:
    """The samples, and how they were taken."""

    scenario: Scenario
    samples_ns: Samples
    warmed: WarmUp
    windows: tuple[Window, ...] = ()
    real_time: RealTime | None = None


def _take(
    session: BoardSession,
    package: Package,
    profile: BoardProfile,
    plan: Plan,
    recipe: Recipe | None,
    data: _Data,
) -> _Taken:
    if plan.real_time is not None:
        real_time = run_in_real_time(
            session, package, plan.real_time, recipe=recipe, samples=data.chosen
        )
        service = Samples.of(real_time.service_ns)
        return _Taken("real-time", service, data.warmed, real_time=real_time)
    rule = plan.rule
    if data.stream is None:
        system = PackageOnBoard(session, package, plan.threads, data.inputs)
        warmed = _warm_up(system, plan)
        played = play(system, plan.scenario, rule, plan.load, judged=not profile.emulated)
        return _Taken(plan.scenario, played.samples_ns, warmed, played.windows)
    service_ns = list(data.service_ns)
    while len(service_ns) < rule.least_count and sum(service_ns) < rule.most_s * 1e9:
        service_ns += session.stream(data.inputs)[0].tolist()
    return _Taken("stream", Samples.of(service_ns), data.warmed)


def _deadline_ms(plan: Plan, recipe: Recipe | None, run: RealTime | None) -> float | None:
    if run is not None:
        return run.deadline_ms
    return plan.bound_ms or (recipe.deadline_ms if recipe is not None else None)


def _chunk_ms(stream: StreamSpec | None, run: RealTime | None) -> float | None:
    if run is not None:
        return run.period_ms
    return stream.chunk_ms if stream is not None else None


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
