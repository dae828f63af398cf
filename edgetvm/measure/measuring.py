"""A package on a board, measured: always the file that users deploy, timed on the board."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from edgetvm.base.steps import step
from edgetvm.base.units import format_ms
from edgetvm.base.version import __version__
from edgetvm.boards.profile import BoardProfile
from edgetvm.farm.session import BoardSession
from edgetvm.measure.beside import measure_beside
from edgetvm.measure.deployment import deploy
from edgetvm.measure.evaluation import evaluate
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.pacing import RealTimePlan, run_in_real_time
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.statistics import percentile
from edgetvm.measure.thread_turns import threads_in_turns
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Source, reference_for
from edgetvm.package.archive import Package
from edgetvm.package.gate import refusal, tolerance_of
from edgetvm.recipes import Recipe, Sample, prepare, samples, with_audio

# Runs are asked for in portions, so that progress is seen and a dead board is noticed.
_PORTION_S = 1.0


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        runs: timed runs; for a stream, at least so many chunks.
        warmup: untimed runs before them.
        max_s: no new run begins after so many seconds.
        threads: to run on; all cores of the board without it.
        allow_mismatch: measure a model that is wrong, and say so, instead of refusing it.
        against: the float model that a quantised one was made from; how far the board agrees with
            it on the recipe's data is among the metrics.
        layers: compare each layer with it too, see `edgetvm.workflow.layer_agreement`.
        peers: other runtimes to time in turns with it, see `edgetvm.measure.beside`.
        real_time: feed it chunk by chunk as they would arrive, instead of back to back.
    """

    runs: int = 200
    warmup: int = 10
    max_s: float = 30.0
    threads: int | None = None
    allow_mismatch: bool = False
    real_time: RealTimePlan | None = None
    peers: tuple[str, ...] = ()
    against: str | None = None
    layers: bool = False


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
        PackageError: the board cannot run the package.
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    plan = plan or Plan()
    if recipe is not None and plan.real_time is not None and plan.real_time.audio is not None:
        recipe = with_audio(recipe, plan.real_time.audio)
    manifest = package.manifest
    facts = session.facts()
    deployment = deploy(session, package, plan.threads, plan.allow_mismatch)
    target, correctness = deployment.target, deployment.correctness
    metrics: dict[str, float] = {}
    samples_ns: list[int] = []
    inputs: Arrays = package.sample_inputs
    stream = None
    chosen: tuple[Sample, ...] = ()
    confused = None
    if recipe is not None and recipe.data is not None:
        stream = recipe.stream
        with step(f"run the recipe's data on {session.board.name}") as this:
            chosen = samples(recipe)
            inputs = prepare(recipe, chosen[0])
            if stream is not None and plan.warmup > 0:
                session.stream({name: array[: plan.warmup] for name, array in inputs.items()})
            evaluation = evaluate(
                session,
                manifest.signature,
                reference_for(source),
                recipe=recipe,
                samples=chosen,
                tolerance=tolerance_of(target.options),
                original=reference_for(original) if original is not None else None,
            )
            correctness = evaluation.correctness
            metrics.update(evaluation.metrics)
            confused = evaluation.confusion
            samples_ns += evaluation.service_ns
            this.detail = f"{correctness.max_relative_error:.1e} from {correctness.reference}"
            if not correctness.passed and not plan.allow_mismatch:
                raise refusal(correctness, manifest.name)
    real_time = None
    if plan.real_time is not None:
        real_time = run_in_real_time(
            session, package, plan.real_time, recipe=recipe, samples=chosen
        )
        samples_ns = list(real_time.service_ns)
    elif stream is None:
        samples_ns = _single_stream(session, inputs, plan)
    else:
        while len(samples_ns) < plan.runs and sum(samples_ns) < plan.max_s * 1e9:
            samples_ns += session.stream(inputs)[0].tolist()
    peak_memory_bytes = session.peak_memory_bytes()
    turns = None
    if not profile.emulated:
        turns = threads_in_turns(session, deployment.opened.threads, samples_ns)
    beside = None
    if plan.peers:
        signature = manifest.signature
        one = {name: array[0] for name, array in inputs.items()} if stream else inputs
        given = {**signature.initial_states(), **one}
        beside = measure_beside(session, source, given, plan.peers, deployment.opened.threads)
    deadline_ms = recipe.deadline_ms if recipe is not None else None
    chunk_ms = stream.chunk_ms if stream is not None else None
    return Measurement(
        id=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}",
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=manifest.name,
        task=recipe.task if recipe is not None else "",
        scenario=_scenario(stream is not None, real_time),
        samples_ns=tuple(samples_ns),
        warmup=plan.warmup,
        open_ns=deployment.opened.open_ns,
        first_run_ns=deployment.opened.first_run_ns,
        peak_memory_bytes=peak_memory_bytes,
        package_sha256=package.sha256,
        package_size_bytes=package.size_bytes,
        library_size_bytes=manifest.sizes_bytes[target.library],
        deadline_ms=real_time.deadline_ms if real_time is not None else deadline_ms,
        chunk_ms=real_time.period_ms if real_time is not None else chunk_ms,
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
        real_time=real_time,
        beside=beside,
        confusion=confused,
    )


def _scenario(
    is_stream: bool, real_time: RealTime | None
) -> Literal["single-stream", "stream", "real-time"]:
    if real_time is not None:
        return "real-time"
    return "stream" if is_stream else "single-stream"


def _single_stream(session: BoardSession, inputs: Arrays, plan: Plan) -> list[int]:
    with step(f"time {plan.runs} runs on {session.board.name}") as this:
        session.time_runs(plan.warmup, plan.max_s / 3, inputs)
        samples_ns: list[int] = []
        spent_s = 0.0
        while len(samples_ns) < plan.runs and spent_s < plan.max_s:
            portion = session.time_runs(plan.runs - len(samples_ns), _PORTION_S)
            samples_ns += portion.tolist()
            spent_s += float(portion.sum()) / 1e9
            p50_ms = percentile(sorted(samples_ns), 0.5) / 1e6
            this.advance(len(samples_ns), plan.runs, f"p50 {format_ms(p50_ms)}")
    return samples_ns


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
