"""What a board answers to a recipe's data, beside what the reference runtime answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from edgetvm.base.errors import NumericError
from edgetvm.farm.session import BoardSession
from edgetvm.models.correctness import Correctness, rms_relative, worst_error
from edgetvm.models.model import Arrays, Signature
from edgetvm.models.reference import Reference, Runner, named_outputs, run_stream
from edgetvm.models.rounding import rounding_noise
from edgetvm.recipes import (
    Confusion,
    Prediction,
    Recipe,
    Sample,
    Track,
    confusion,
    decision_agreement,
    form_of,
    interpret,
    prepare,
    score,
    told_data,
    track,
)


@dataclass(frozen=True)
class Evaluation:
    """One board's answers.

    Attributes:
        correctness: the worst of all samples.
        metrics: the recipe's, and how far the decisions are the reference's.
        confusion: of the classes, where the recipe's metrics compare some.
        track: of the numbers, likewise.
    """

    correctness: Correctness
    metrics: Mapping[str, float]
    confusion: Confusion | None = None
    track: Track | None = None


def evaluate(
    session: BoardSession,
    signature: Signature,
    reference: Reference,
    *,
    recipe: Recipe,
    samples: tuple[Sample, ...],
    tolerance: float,
    original: Reference | None = None,
) -> Evaluation:
    """Run every sample of a recipe's data on the board and in the reference, and compare.

    Args:
        session: with the recipe's package open.
        signature: of the package.
        tolerance: from which a model counts as wrong. What rounding between the operators of a
            quantised graph may do comes on top.
        original: runs the float model that a quantised one was made from, to be agreed with too.

    Raises:
        BoardError: the board failed, see `edgetvm.farm.session`.
    """
    worst: Correctness | None = None
    predictions: list[Prediction] = []
    figures: dict[str, list[float]] = {}
    for sample in samples:
        inputs = prepare(recipe, sample)
        found, expected, chunks = _answers(session, signature, reference, recipe, inputs)
        error = worst_error(found, expected, signature.quanta)
        answer = partial(_expected, signature, recipe)
        allowed = tolerance + rounding_noise(answer, reference, inputs, expected, signature.quanta)
        if worst is None or not error.max_relative_error <= worst.max_relative_error:
            worst = Correctness(
                reference=reference.name,
                max_abs_error=error.max_abs_error,
                max_relative_error=error.max_relative_error,
                tolerance=allowed,
                worst_output=error.output,
                samples=chunks or len(samples),
                inputs=f"{told_data(recipe)} ({sample.name})",
                checked_on=f"board {session.board.name}",
                rms_relative_error=error.rms_relative_error if reference.shaken else None,
                own_data=recipe.data.brought.name if recipe.data and recipe.data.brought else None,
            )
        if recipe.postprocess is not None:
            predictions.append(interpret(recipe, found, sample))
            decided = {"decision_agreement_pct": expected}
            if original is not None:
                beside = _expected(signature, recipe, original, inputs)
                decided["float_agreement_pct"] = beside
                apart = max(rms_relative(found[name], beside[name]) for name in beside)
                figures.setdefault("float_output_error_pct", []).append(100 * apart)
            for name, answers in decided.items():
                agreed = decision_agreement(
                    recipe, predictions[-1], interpret(recipe, answers, sample)
                )
                figures.setdefault(name, []).append(agreed)
    if worst is None:
        raise NumericError("its data holds no sample", where=recipe.name, mend="see its `data`")
    metrics = {name: fmean(values) for name, values in figures.items()}
    if predictions:
        metrics = {**score(recipe, predictions, samples), **metrics}
    return Evaluation(
        worst,
        metrics,
        confusion(predictions, samples) if _labelled_form(recipe) == "top-k" else None,
        track(predictions, samples) if _labelled_form(recipe) == "values" else None,
    )


def score_reference(
    signature: Signature, reference: Reference, recipe: Recipe, samples: tuple[Sample, ...]
) -> tuple[dict[str, float], Confusion | None]:
    """The recipe's metrics of the reference's own answers, and its confusion of classes."""
    if recipe.postprocess is None:
        return {}, None
    predictions = [
        interpret(recipe, _expected(signature, recipe, reference, prepare(recipe, sample)), sample)
        for sample in samples
    ]
    confused = confusion(predictions, samples) if _labelled_form(recipe) == "top-k" else None
    return score(recipe, predictions, samples), confused


def _labelled_form(recipe: Recipe) -> str:
    """Metrics compare with labels: where there are some, the labels are of this form."""
    return form_of(recipe) if recipe.metrics else ""


def _answers(
    session: BoardSession,
    signature: Signature,
    reference: Reference,
    recipe: Recipe,
    inputs: Arrays,
) -> tuple[Arrays, Arrays, int]:
    """What the board answers, what the reference does, and how many chunks of a stream ran."""
    expected = _expected(signature, recipe, reference, inputs)
    if recipe.stream is None:
        _, found = session.run(inputs)
        return found, expected, 0
    service_ns, found = session.stream(inputs)
    return found, expected, len(service_ns)


def _expected(signature: Signature, recipe: Recipe, runner: Runner, inputs: Arrays) -> Arrays:
    if recipe.stream is None:
        return named_outputs(runner.run(inputs), signature)
    return run_stream(runner, signature, inputs)
