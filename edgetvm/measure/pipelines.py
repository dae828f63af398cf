"""A pipeline on a board: every stage's runs timed there, its answers beside the reference's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import AccuracyError, NumericError
from edgetvm.base.steps import step
from edgetvm.farm.session import BoardSession
from edgetvm.measure.deployment import deploy
from edgetvm.measure.turns import Turns
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Reference, Source, named_outputs, reference_for
from edgetvm.package.archive import Package
from edgetvm.recipes import (
    PIPELINES,
    POSTPROCESS,
    Pipeline,
    Prediction,
    Processing,
    Recipe,
    Sample,
    interpret,
    prepare,
    samples,
    score,
    unmet,
)


@dataclass(frozen=True)
class BuiltStage:
    """A stage's package, and what its reference runtime needs.

    Attributes:
        recipe: with the stage's data left out of account.
        package: verified.
        source: of the model.
    """

    recipe: Recipe
    package: Package
    source: Source


@dataclass(frozen=True)
class StageTimes:
    """The runs of one stage on the board.

    Attributes:
        model: its recipe.
        runs_ns: of each, in order, by the board's own clock.
    """

    model: str
    runs_ns: tuple[int, ...]

    @property
    def median_ms(self) -> float:
        """Of a run; 0 where there was none."""
        return float(np.median(self.runs_ns)) / 1e6 if self.runs_ns else 0.0

    @property
    def total_s(self) -> float:
        """Of all runs."""
        return sum(self.runs_ns) / 1e9


@dataclass(frozen=True)
class PipelineRun:
    """What a pipeline made of its data.

    Attributes:
        pipeline: its name.
        board: where the stages ran.
        emulated: whether its times say nothing.
        threads: that each stage ran on.
        stages: by their names in the pipeline.
        samples: as given.
        predictions: of each sample, by the board.
        metrics: of the predictions, and `decision_agreement_pct` with the reference runtimes.
        around_s: of this machine's processor between the runs, sending arrays not counted.
        signal_s: of sound in all samples; None where they are no sound.
    """

    pipeline: str
    board: str
    emulated: bool
    threads: int
    stages: Mapping[str, StageTimes]
    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    metrics: Mapping[str, float]
    around_s: float
    signal_s: float | None

    @property
    def compute_s(self) -> float:
        """Of all stages and what lies between them."""
        return sum(one.total_s for one in self.stages.values()) + self.around_s

    @property
    def real_time_factor(self) -> float | None:
        """Time of computing by duration of the signal; None where there is no signal."""
        return self.compute_s / self.signal_s if self.signal_s else None


def run_pipeline(
    session: BoardSession,
    pipeline: Pipeline,
    stages: Mapping[str, BuiltStage],
    *,
    threads: int | None = None,
    emulated: bool = False,
    allow_mismatch: bool = False,
) -> PipelineRun:
    """Run every sample of a pipeline's data on a board and in the reference runtimes.

    A session has one package open. Samples are worked on side by side, so that a stage is opened
    for all of them at once; opening is not timed.

    Args:
        session: with the board.
        stages: by their names in the pipeline.
        threads: for each stage; all cores of the board without it.
        emulated: whether the board is.
        allow_mismatch: tell of a pipeline that is not as accurate as it accepts, too.

    Raises:
        NumericError: a stage's answers are wrong.
        AccuracyError: the pipeline is less accurate than it accepts.
        ConfigurationError: its steps fail, or its data holds no sample.
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    chosen = samples(pipeline)
    steps = pipeline.steps
    if not chosen or steps is None:
        raise NumericError("it has no data or no steps", where=pipeline.name, mend="see its file")
    on_board = _OnBoard(session, stages, threads, allow_mismatch)
    turns = Turns(on_board.run)
    there = {name: _Running(one.recipe, partial(turns.ask, name)) for name, one in stages.items()}
    beside = {name: _Running(one.recipe, _referred(one)) for name, one in stages.items()}

    def work(sample: Sample) -> tuple[Prediction, float]:
        began = time.thread_time()
        found = PIPELINES.run(steps, there, sample)
        return found, time.thread_time() - began

    with step(f"run its data on {session.board.name}"):
        worked = turns.run(work, chosen)
    found = [prediction for prediction, _ in worked]
    with step("compare with the reference runtimes"):
        expected = [PIPELINES.run(steps, beside, sample) for sample in chosen]
    agreed = [_agreement(steps, *pair) for pair in zip(found, expected, strict=True)]
    metrics = {**score(pipeline, found, chosen), "decision_agreement_pct": fmean(agreed)}
    missed = unmet(pipeline, metrics)
    if missed and not allow_mismatch:
        raise AccuracyError(
            "; ".join(missed),
            where=pipeline.name,
            mend="see its data; --allow-mismatch tells of it all the same",
        )
    return PipelineRun(
        pipeline=pipeline.name,
        board=session.board.name,
        emulated=emulated,
        threads=on_board.threads,
        stages={
            name: StageTimes(one.recipe.name, tuple(on_board.runs_ns.get(name, ())))
            for name, one in stages.items()
        },
        samples=chosen,
        predictions=tuple(found),
        metrics=metrics,
        around_s=sum(around_s for _, around_s in worked),
        signal_s=_signal_s(chosen),
    )


def _agreement(steps: Processing, a: Prediction, b: Prediction) -> float:
    form = PIPELINES.reads(steps.name)
    agreement = POSTPROCESS.agreement(form) if form else None
    return agreement(a, b) if agreement else 100.0 * (a == b)


def _signal_s(chosen: tuple[Sample, ...]) -> float | None:
    rates_hz: list[int] = [one.attributes.get("sample_rate_hz", 0) for one in chosen]
    if not all(rates_hz):
        return None
    return float(sum(len(one.value) / rate for one, rate in zip(chosen, rates_hz, strict=True)))


@dataclass(frozen=True)
class _Running:
    """A stage, and what runs it."""

    recipe: Recipe
    answers: Callable[[Arrays], dict[str, NDArray[np.generic]]]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.generic]]:
        return self.answers(inputs)

    def predict(self, sample: Sample) -> Prediction:
        return interpret(self.recipe, self.run(prepare(self.recipe, sample)), sample)


def _referred(stage: BuiltStage) -> Callable[[Arrays], dict[str, NDArray[np.generic]]]:
    made: list[Reference] = []

    def run(inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        if not made:
            made.append(reference_for(stage.source))
        return named_outputs(made[0].run(inputs), stage.package.manifest.signature)

    return run


@dataclass
class _OnBoard:
    """The session's one open package, and all that ran."""

    session: BoardSession
    stages: Mapping[str, BuiltStage]
    asked_threads: int | None
    allow_mismatch: bool
    opened: str = ""
    threads: int = 0
    runs_ns: dict[str, list[int]] = field(default_factory=dict)

    def run(self, name: str, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """One run of a stage, which is opened where another one is."""
        if self.opened != name:
            self.opened = ""
            package = self.stages[name].package
            done = deploy(self.session, package, self.asked_threads, self.allow_mismatch)
            self.opened, self.threads = name, done.opened.threads
        duration_ns, outputs = self.session.run(inputs)
        self.runs_ns.setdefault(name, []).append(duration_ns)
        return outputs
