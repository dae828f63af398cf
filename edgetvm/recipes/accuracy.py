"""Metrics of all samples together: of classes, words, detections in time, boxes and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edgetvm.recipes.agreement import Box, edit_distance, overlap
from edgetvm.recipes.data import Sample
from edgetvm.recipes.metrics import SPANS, TEXT, WORD
from edgetvm.recipes.postprocess import Prediction
from edgetvm.recipes.registry import METRICS

Predictions = Sequence[Prediction]
Samples = Sequence[Sample]

_BOXES = TypeAdapter(list[Box])
_NUMBERS = TypeAdapter(float | list[float])
# A detection belongs to a span that ended so long before, and repeats one so shortly after it:
# MLPerf Tiny, streaming wake word.
_GRACE_S = 1.0
_SAME_BOX = 0.5  # intersection over union
_SHORTEST_TRACK, _LONGEST_TRACK = 10, 1000


@dataclass(frozen=True)
class Confusion:
    """How often each class was taken for which.

    Attributes:
        classes: those that are labels or predictions, in order.
        counts: `[label][prediction]`.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Track:
    """Numbers in their order, beside those that were predicted: of a series, its last ones.

    Attributes:
        labels: what came.
        values: what was predicted.
    """

    labels: tuple[float, ...]
    values: tuple[float, ...]


def confusion(predictions: Predictions, samples: Samples) -> Confusion:
    """Of the best classes.

    Raises:
        ValidationError: a label is no class.
    """
    names = {one["index"]: one["label"] for found in predictions for one in found["classes"]}
    pairs = [
        (_label_name(sample, names), prediction["classes"][0]["label"])
        for prediction, sample in zip(predictions, samples, strict=True)
    ]
    known = sorted({name for pair in pairs for name in pair}, key=_natural)
    counted = Counter(pairs)
    return Confusion(
        tuple(known),
        tuple(tuple(counted[label, found] for found in known) for label in known),
    )


def track(predictions: Predictions, samples: Samples) -> Track | None:
    """Of one number for each sample, or many for the only one; None of other numbers.

    Raises:
        ValidationError: a label is no number.
    """
    labels = [np.ravel(_NUMBERS.validate_python(one.label)) for one in samples]
    values = [np.asarray(one["values"], np.float64) for one in predictions]
    if len(samples) > 1 and any(len(one) != 1 for one in labels):
        return None
    came, predicted = np.concatenate(labels), np.concatenate(values)
    if len(came) != len(predicted) or len(came) < _SHORTEST_TRACK:
        return None
    last = slice(-_LONGEST_TRACK, None)
    return Track(tuple(came[last].tolist()), tuple(predicted[last].tolist()))


def _label_name(sample: Sample, names: Mapping[int, str]) -> str:
    """By the name that predictions have, the same for all samples; its index where none has it."""
    label = WORD.validate_python(sample.label)
    return names.get(label, str(label)) if isinstance(label, int) else label


def _natural(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _per_class(
    predictions: Predictions, samples: Samples
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each class: rightly found, found, and labelled."""
    counts = np.asarray(confusion(predictions, samples).counts, np.float64)
    return np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1)


def _mean_pct(part: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    shares = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return 100 * float(shares.mean()) if len(shares) else 100.0


@METRICS.register("precision_pct", reads="top-k", best=100.0, whole=True)
def precision_pct(predictions: Predictions, samples: Samples) -> float:
    """Of what is taken for a class, the percentage that is of it: the mean over classes."""
    right, found, _ = _per_class(predictions, samples)
    return _mean_pct(right, found)


@METRICS.register("recall_pct", reads="top-k", best=100.0, whole=True)
def recall_pct(predictions: Predictions, samples: Samples) -> float:
    """Of what is of a class, the percentage that is taken for it: the mean over classes."""
    right, _, labelled = _per_class(predictions, samples)
    return _mean_pct(right, labelled)


@METRICS.register("f1_pct", reads="top-k", best=100.0, whole=True)
def f1_pct(predictions: Predictions, samples: Samples) -> float:
    """Harmonic mean of a class's precision and recall, in percent: the mean over classes."""
    right, found, labelled = _per_class(predictions, samples)
    return _mean_pct(2 * right, found + labelled)


@METRICS.register("word_error_rate_pct", reads="ctc-text", best=0.0, whole=True)
def word_error_rate_pct(predictions: Predictions, samples: Samples) -> float:
    """Words replaced, left out or put in, in percent of the labels' words; may be over 100."""
    return _error_rate_pct(
        [(_text(one).split(), found["text"].split()) for found, one in _pairs(predictions, samples)]
    )


@METRICS.register("character_error_rate_pct", reads="ctc-text", best=0.0, whole=True)
def character_error_rate_pct(predictions: Predictions, samples: Samples) -> float:
    """Letters replaced, left out or put in, in percent of the labels' letters; likewise."""
    return _error_rate_pct(
        [(_text(one), found["text"]) for found, one in _pairs(predictions, samples)]
    )


def _pairs(predictions: Predictions, samples: Samples) -> list[tuple[Prediction, Sample]]:
    return list(zip(predictions, samples, strict=True))


def _text(sample: Sample) -> str:
    return TEXT.validate_python(sample.label)


def _error_rate_pct(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    edits = sum(edit_distance(label, found) for label, found in pairs)
    length = sum(len(label) for label, _ in pairs)
    if length:
        return 100 * edits / length
    return 100.0 if edits else 0.0


@METRICS.register("false_accepts_per_hour", reads="speech-probability", best=0.0, whole=True)
def false_accepts_per_hour(predictions: Predictions, samples: Samples) -> float:
    """Detections outside all labelled spans and the second after each, in an hour of signal.

    A detection begins where a chunk says yes and the one before it no; one within a second of the
    one before it repeats it.
    """
    wrong, signal_s = 0, 0.0
    for prediction, sample in _pairs(predictions, samples):
        spans = SPANS.validate_python(sample.label)
        signal_s += len(prediction["speech"]) * prediction["chunk_s"]
        wrong += sum(
            not any(
                start < at + prediction["chunk_s"] and at < end + _GRACE_S for start, end in spans
            )
            for at in _detections_s(prediction)
        )
    return 3600 * wrong / signal_s if signal_s else 0.0


@METRICS.register("false_rejects_pct", reads="speech-probability", best=0.0, whole=True)
def false_rejects_pct(predictions: Predictions, samples: Samples) -> float:
    """Labelled spans, in percent, with no chunk that says yes until a second after their end."""
    missed = count = 0
    for prediction, sample in _pairs(predictions, samples):
        chunk_s = prediction["chunk_s"]
        yes_s = [at * chunk_s for at, said in enumerate(prediction["speech"]) if said]
        for start, end in SPANS.validate_python(sample.label):
            count += 1
            missed += not any(start < at + chunk_s and at < end + _GRACE_S for at in yes_s)
    return 100 * missed / count if count else 0.0


def _detections_s(prediction: Prediction) -> list[float]:
    """When detections begin, repeated ones left out."""
    said = [False, *prediction["speech"]]
    edges = [at * prediction["chunk_s"] for at, (a, b) in enumerate(pairwise(said)) if b and not a]
    kept: list[float] = []
    for edge in edges:
        if not kept or edge - kept[-1] >= _GRACE_S:
            kept.append(edge)
    return kept


@METRICS.register("average_precision_pct", reads="text-boxes", best=100.0, whole=True)
def average_precision_pct(predictions: Predictions, samples: Samples) -> float:
    """Area under precision over recall of boxes, best score first; at an overlap of 0.5 (AP50).

    Source: the PASCAL VOC development kit of 2010: all points, precision made to fall only.
    """
    found = [
        (score, index, tuple(box))
        for index, one in enumerate(predictions)
        for score, box in zip(one["scores"], one["boxes"], strict=True)
    ]
    labelled = [list(_BOXES.validate_python(one.label)) for one in samples]
    return 100 * average_precision(found, labelled)


def average_precision(
    found: Sequence[tuple[float, int, Box]], labelled: Sequence[Sequence[Box]]
) -> float:
    """See `average_precision_pct`.

    Args:
        found: score, number of the picture, and box of each that is predicted.
        labelled: boxes of each picture.
    """
    total = sum(map(len, labelled))
    if total == 0:
        return 0.0 if found else 1.0
    taken: set[tuple[int, int]] = set()
    hits = []
    for _, picture, box in sorted(found, key=lambda one: -one[0]):
        shares = [overlap(box, other) for other in labelled[picture]]
        best = int(np.argmax(shares)) if shares else -1
        # One more box on a label that was found is wrong, whatever else it overlaps.
        hit = best >= 0 and shares[best] >= _SAME_BOX and (picture, best) not in taken
        if hit:
            taken.add((picture, best))
        hits.append(hit)
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((falling * np.asarray(hits)).sum() / total)


@METRICS.register("mean_absolute_error", reads="values", whole=True)
def mean_absolute_error(predictions: Predictions, samples: Samples) -> float:
    """Mean of the distances from the labels, over all numbers of all samples."""
    return float(np.abs(_differences(predictions, samples)).mean())


@METRICS.register("root_mean_square_error", reads="values", whole=True)
def root_mean_square_error(predictions: Predictions, samples: Samples) -> float:
    """Root of the mean of the squared distances from the labels, likewise."""
    return float(np.sqrt(np.square(_differences(predictions, samples)).mean()))


def _differences(predictions: Predictions, samples: Samples) -> NDArray[np.float64]:
    parts = []
    for prediction, sample in _pairs(predictions, samples):
        label = np.ravel(_NUMBERS.validate_python(sample.label))
        values = np.asarray(prediction["values"], np.float64)
        if len(label) != len(values):
            # As where a label is of another sort: the recipe's data and outputs do not fit.
            TypeAdapter(dict).validate_python(sample.label)
        parts.append(values - label)
    return np.concatenate(parts)
