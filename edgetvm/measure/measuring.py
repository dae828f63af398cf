"""A package on a board, measured: always the file that users deploy, timed on the board."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edgetvm.base.errors import AccuracyError
from edgetvm.base.steps import step
from edgetvm.base.version import __version__
from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import roofline_of
from edgetvm.farm.memory_rate import roofline_on
from edgetvm.farm.session import BoardSession
from edgetvm.measure.beside import measure_beside
from edgetvm.measure.deployment import Deployment, deploy
from edgetvm.measure.evaluation import evaluate
from edgetvm.measure.kernel_times import time_kernels_on
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.metering import metered
from edgetvm.measure.pacing import with_own_signal
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.plan import Plan
from edgetvm.measure.taking import take
from edgetvm.measure.thread_turns import threads_in_turns
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
    told_data,
    unmet,
)


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
    recipe = with_own_signal(recipe, plan.real_time)
    manifest = package.manifest
    facts = session.facts()
    deployment = deploy(session, package, plan.threads, plan.allow_mismatch)
    target, threads = deployment.target, deployment.opened.threads
    data = _Data(package.sample_inputs, deployment.correctness)
    if recipe is not None and recipe.data is not None:
        data = _with_data(session, deployment, package, source, recipe, plan, original)
    peak_memory_bytes = session.peak_memory_bytes()
    with metered(session.board) as power:
        system = PackageOnBoard(session, package, plan.threads, data.inputs)
        taken = take(system, profile, plan, recipe, data.chosen)
    # Cold starts open the package again and again: what counts is one opening.
    if plan.scenario != "cold-start":
        peak_memory_bytes = session.peak_memory_bytes()
    turns = kernel_times = roofline = None
    explained = plan.explained and not profile.emulated
    if explained and plan.scenario == "single-stream":
        turns = threads_in_turns(session, threads, taken.samples_ns)
    if explained and data.stream is None:
        with step(f"time the kernels on {session.board.name}"):
            kernel_times = time_kernels_on(session, threads)
        with step(f"time the memory of {session.board.name}") as this:
            roofline = roofline_on(session, profile, threads)
            this.detail = f"{roofline.memory_gbs:.3g} GB/s"
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
        roofline=roofline,
        power=tuple(power),
        windows=taken.windows,
        rule=taken.rule,
        preset="" if plan.runs is not None or taken.real_time is not None else plan.preset,
        runs_per_query=plan.load.runs_per_query,
        target_qps=taken.target_qps,
        rate_search=taken.rate_search,
        open_ns=deployment.opened.open_ns,
        first_run_ns=deployment.opened.first_run_ns,
        peak_memory_bytes=peak_memory_bytes,
        package_sha256=package.sha256,
        package_size_bytes=package.size_bytes,
        library_size_bytes=manifest.sizes_bytes[target.library],
        deadline_ms=taken.deadline_ms,
        chunk_ms=taken.chunk_ms,
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
        stream: of the recipe; None where it is none.
        chosen: samples of the recipe.
    """

    inputs: Arrays
    correctness: Correctness
    stream: StreamSpec | None = None
    chosen: tuple[Sample, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    confusion: Confusion | None = None
    track: Track | None = None


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
    with step(f"run {told_data(recipe)} on {session.board.name}") as this:
        chosen = samples(recipe)
        inputs = prepare(recipe, chosen[0])
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
        recipe.stream,
        chosen,
        evaluation.metrics,
        evaluation.confusion,
        evaluation.track,
    )


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
