"""How good a prediction is: against the sample's label, and against another runtime's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.agreement import Box, box_area, common_box, edit_distance, percent
from edgetvm.recipes.data import Sample
from edgetvm.recipes.postprocess import Prediction
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import METRICS, POSTPROCESS, Processing

_BOXES = TypeAdapter(list[Box])
SPANS = TypeAdapter(list[tuple[float, float]])
WORD = TypeAdapter(str | int)
TEXT = TypeAdapter(str)

# Of labels, by the postprocess whose predictions are compared with them.
_SORTS = {
    "top-k": "a class's name or index",
    "ctc-text": "a text",
    "speech-probability": "spans in seconds: [[start, end], …], [] for none",
    "text-boxes": "boxes in pixels: [[x0, y0, x1, y1], …], [] for none",
    "values": "a number or a list of numbers",
}
_FOUND_SHARE = 0.5  # of a label's area that a predicted box must cover


class Scored(Protocol):
    """What has metrics: a recipe, or a pipeline of several."""

    @property
    def name(self) -> str:
        """See `Recipe`."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Recipe`."""

    @property
    def accept(self) -> dict[str, float]:
        """See `Recipe`."""


def score(
    recipe: Scored, predictions: Sequence[Prediction], samples: Sequence[Sample]
) -> dict[str, float]:
    """The recipe's metrics by name: of all samples, or the mean of what each one's is.

    Args:
        predictions: of each of the samples, of which there is at least one.

    Raises:
        ConfigurationError: a sample has no label of the sort that a metric compares with.
    """
    scores = {}
    for name in recipe.metrics:
        if METRICS.whole(name):
            scores[name] = _scored(recipe, name, predictions, samples)
        else:
            pairs = zip(predictions, samples, strict=True)
            scores[name] = fmean(_scored(recipe, name, *pair) for pair in pairs)
    return scores


def unmet(recipe: Scored, metrics: Mapping[str, float]) -> list[str]:
    """What the recipe asks for and the figures do not reach, each in words."""
    found = []
    for name, bound in recipe.accept.items():
        lowest_is_best = METRICS.best(name) == 0.0
        value = metrics[name]
        if value > bound if lowest_is_best else value < bound:
            limit = "at most" if lowest_is_best else "at least"
            found.append(f"{name} is {value:.4g}, and the recipe asks for {limit} {bound:g}")
    return found


def lost_pct(before: float, after: float, best: float | None) -> float | None:
    """What of a metric is lost, in percent of its best value; of errors, whose best is 0 percent,
    how many more there are. None for a figure that is no score, and has no best."""
    if best is None:
        return None
    return 100 * (before - after) / best if best else after - before


def _scored(recipe: Scored, name: str, *arguments: object) -> float:
    try:
        return METRICS.run(Processing(name), *arguments)
    except ValidationError as error:
        raise ConfigurationError(
            f"metric {name} cannot compare with label {_unfit(error)!r}",
            where=f"recipe {recipe.name}: data.label",
            mend=f"a label should be {_SORTS.get(METRICS.reads(name), 'of another sort')}",
        ) from error


def _unfit(error: ValidationError) -> object:
    return error.errors()[0]["input"]


def decision_agreement(recipe: Recipe, a: Prediction, b: Prediction) -> float:
    """Percent of decisions that two predictions of one sample share.

    Decisions are boxes of text (the same where their intersection over union reaches 0.5),
    chunks of a stream, the best class, letters of a text, numbers (the same within a hundredth
    of the largest).
    """
    name = recipe.postprocess.name if recipe.postprocess else None
    agreement = POSTPROCESS.agreement(name) if name else None
    return agreement(a, b) if agreement else percent(a == b, 1)


@METRICS.register("lines_found_pct", reads="text-boxes", best=100.0)
def lines_found_pct(prediction: Prediction, sample: Sample) -> float:
    """Percent of labelled lines with a box over their centre and half of their area."""
    lines = _BOXES.validate_python(sample.label)
    boxes = prediction["boxes"]
    return percent(sum(any(_finds(box, line) for box in boxes) for line in lines), len(lines))


def _finds(box: Box, line: Box) -> bool:
    x, y = (line[0] + line[2]) / 2, (line[1] + line[3]) / 2
    covers_centre = box[0] <= x <= box[2] and box[1] <= y <= box[3]
    return covers_centre and box_area(common_box(box, line)) >= _FOUND_SHARE * box_area(line)


@METRICS.register("box_count", reads="text-boxes")
def box_count(prediction: Prediction, sample: Sample) -> float:
    """How many boxes are predicted."""
    return float(len(prediction["boxes"]))


@METRICS.register("speech_chunk_accuracy_pct", reads="speech-probability", best=100.0)
def speech_chunk_accuracy_pct(
    prediction: Prediction,
    sample: Sample,
    *,
    border_ms: Annotated[
        float, Field(ge=0, description="Chunks so near to a border are left out.")
    ] = 100.0,
) -> float:
    """Percent of chunks whose decision is the label's, at their middle."""
    spans = SPANS.validate_python(sample.label)
    chunk_s = prediction["chunk_s"]
    borders = [border for span in spans for border in span]
    right = counted = 0
    for index, said in enumerate(prediction["speech"]):
        start, end = index * chunk_s, (index + 1) * chunk_s
        near = border_ms / 1000
        if any(start - near < border < end + near for border in borders):
            continue
        middle = (start + end) / 2
        counted += 1
        right += said == any(first <= middle <= last for first, last in spans)
    return percent(right, counted)


@METRICS.register("top1", reads="top-k", best=1.0)
def top1(prediction: Prediction, sample: Sample) -> float:
    """1 where the best class is the label, by its name or index; else 0."""
    best = prediction["classes"][0]
    label = WORD.validate_python(sample.label)
    return float(label == (best["index"] if isinstance(label, int) else best["label"]))


@METRICS.register("top5", reads="top-k", best=1.0)
def top5(prediction: Prediction, sample: Sample) -> float:
    """1 where the label is among the five best classes, by its name or index; else 0."""
    label = WORD.validate_python(sample.label)
    key = "index" if isinstance(label, int) else "label"
    return float(label in [one[key] for one in prediction["classes"][:5]])


@METRICS.register("character_accuracy_pct", reads="ctc-text", best=100.0)
def character_accuracy_pct(prediction: Prediction, sample: Sample) -> float:
    """Percent of the label's letters left after the edits that make the prediction of it."""
    label = TEXT.validate_python(sample.label)
    edits = edit_distance(label, prediction["text"])
    return percent(max(0, len(label) - edits), len(label))
