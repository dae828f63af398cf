"""How good a prediction is: against the sample's label, and against another runtime's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from statistics import fmean
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.data import Sample
from edgetvm.recipes.postprocess import Prediction
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import METRICS, Processing

Box: TypeAlias = tuple[float, float, float, float]

_BOXES = TypeAdapter(list[Box])
SPANS = TypeAdapter(list[tuple[float, float]])
WORD = TypeAdapter(str | int)
TEXT = TypeAdapter(str)

_FOUND_SHARE = 0.5  # of a label's area that a predicted box must cover
_SAME_BOX_OVERLAP = 0.5  # intersection over union
_SAME_VALUE = 0.01


def score(
    recipe: Recipe, predictions: Sequence[Prediction], samples: Sequence[Sample]
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


def unmet(recipe: Recipe, metrics: Mapping[str, float]) -> list[str]:
    """What the recipe asks for and the figures do not reach, each in words."""
    found = []
    for name, bound in recipe.accept.items():
        lowest_is_best = METRICS.best(name) == 0.0
        value = metrics[name]
        if value > bound if lowest_is_best else value < bound:
            limit = "at most" if lowest_is_best else "at least"
            found.append(f"{name} is {value:.4g}, and the recipe asks for {limit} {bound:g}")
    return found


def lost_pct(name: str, before: float, after: float) -> float | None:
    """What of a metric is lost, in percent of its best value; of errors, whose best is 0 percent,
    how many more there are. None for a figure that is no score."""
    best = METRICS.best(name)
    if best is None:
        return None
    return 100 * (before - after) / best if best else after - before


def _scored(recipe: Recipe, name: str, *arguments: object) -> float:
    try:
        return METRICS.run(Processing(name), *arguments)
    except ValidationError as error:
        raise ConfigurationError(
            f"metric {name} cannot compare with label {_unfit(error)!r}",
            where=f"recipe {recipe.name}: data.label",
            mend="give the data a label of the sort that the metric compares with",
        ) from error


def _unfit(error: ValidationError) -> object:
    return error.errors()[0]["input"]


def decision_agreement(recipe: Recipe, a: Prediction, b: Prediction) -> float:
    """Percent of decisions that two predictions of one sample share.

    Decisions are boxes of text (the same where their intersection over union reaches 0.5),
    chunks of a stream, the best class, letters of a text, numbers (the same within a hundredth
    of the largest).
    """
    name = recipe.postprocess.name if recipe.postprocess else ""
    agreement = _AGREEMENTS.get(name)
    return agreement(a, b) if agreement else percent(a == b, 1)


def percent(part: float, whole: int) -> float:
    """A part in percent; of nothing, all is right."""
    return 100.0 * part / whole if whole else 100.0


@METRICS.register("lines_found_pct", reads="text-boxes", best=100.0)
def lines_found_pct(prediction: Prediction, sample: Sample) -> float:
    """Percent of labelled lines with a box over their centre and half of their area."""
    lines = _BOXES.validate_python(sample.label)
    boxes = prediction["boxes"]
    return percent(sum(any(_finds(box, line) for box in boxes) for line in lines), len(lines))


def _finds(box: Box, line: Box) -> bool:
    x, y = (line[0] + line[2]) / 2, (line[1] + line[3]) / 2
    covers_centre = box[0] <= x <= box[2] and box[1] <= y <= box[3]
    return covers_centre and _area(_common(box, line)) >= _FOUND_SHARE * _area(line)


def _common(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


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


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Least number of insertions, deletions and replacements that make `b` of `a` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
    return row[-1]


def _boxes_agree(a: Prediction, b: Prediction) -> float:
    """Boxes with a partner, of all boxes of both: each box has at most one partner."""
    left: list[Box] = list(b["boxes"])
    pairs = 0
    for box in a["boxes"]:
        partner = max(left, key=lambda other: overlap(box, other), default=None)
        if partner is not None and overlap(box, partner) >= _SAME_BOX_OVERLAP:
            left.remove(partner)
            pairs += 1
    return percent(2 * pairs, len(a["boxes"]) + len(b["boxes"]))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; 0 of nothing."""
    common = _area(_common(a, b))
    union = _area(a) + _area(b) - common
    return common / union if union else 0.0


def _chunks_agree(a: Prediction, b: Prediction) -> float:
    pairs = list(zip_longest(a["speech"], b["speech"]))
    return percent(sum(x == y for x, y in pairs), len(pairs))


def _best_agrees(a: Prediction, b: Prediction) -> float:
    return percent(a["classes"][0]["index"] == b["classes"][0]["index"], 1)


def _letters_agree(a: Prediction, b: Prediction) -> float:
    longest = max(len(a["text"]), len(b["text"]))
    return percent(longest - edit_distance(a["text"], b["text"]), longest)


def _values_agree(a: Prediction, b: Prediction) -> float:
    """Numbers that lie within a hundredth of the largest of both."""
    pairs = list(zip(a["values"], b["values"], strict=True))
    largest = max((abs(one) for pair in pairs for one in pair), default=0.0)
    return percent(sum(abs(x - y) <= _SAME_VALUE * largest for x, y in pairs), len(pairs))


_AGREEMENTS: dict[str, Callable[[Prediction, Prediction], float]] = {
    "text-boxes": _boxes_agree,
    "speech-probability": _chunks_agree,
    "top-k": _best_agrees,
    "ctc-text": _letters_agree,
    "values": _values_agree,
}
