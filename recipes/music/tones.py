"""Chords of plucked strings, made here, and which of their notes are heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from edgetvm.recipes import DATA, METRICS, POSTPROCESS, PREPROCESS, Prediction, Recipe, Sample

RATE_HZ = 22050
WINDOW = 43844  # samples that one call hears
_LOWEST = 21  # of the 88 notes, as MIDI counts them: a piano's lowest A
_HARMONICS = 8
_FADING_PER_S = 1.5
_NOTES = TypeAdapter(list[int])

Note = Annotated[int, Field(ge=_LOWEST, lt=_LOWEST + 88)]


def chord(notes: Sequence[int]) -> NDArray[np.float32]:
    """Two seconds of strings that are plucked together and fade."""
    time_s = np.arange(WINDOW) / RATE_HZ
    sound = np.zeros(WINDOW)
    for note in notes:
        pitch_hz = 440 * 2 ** ((note - 69) / 12)
        for harmonic in range(1, _HARMONICS + 1):
            fading = np.exp(-_FADING_PER_S * harmonic**0.5 * time_s)
            sound += fading * np.sin(2 * np.pi * harmonic * pitch_hz * time_s) / harmonic
    return np.asarray(0.5 * sound / np.abs(sound).max(), np.float32)


@DATA.register("plucked-chords")
def plucked_chords(
    *,
    chords: Annotated[
        tuple[tuple[Note, ...], ...],
        Field(min_length=1, description="Notes that sound together, as MIDI counts them."),
    ],
) -> tuple[Sample, ...]:
    """Each chord by itself, from the first sample on; the label is its notes."""
    return tuple(Sample(" ".join(map(str, notes)), chord(notes), sorted(notes)) for notes in chords)


@PREPROCESS.register("one-window")
def one_window(
    recipe: Recipe,
    sample: Sample,
    *,
    input: Annotated[str, Field(description="Name of the input that takes the sound.")],
) -> Mapping[str, NDArray[Any]]:
    """A sound that is one window long, [1, samples, 1]."""
    return {input: np.asarray(sample.value, np.float32).reshape(1, WINDOW, 1)}


def _agree(one: Prediction, other: Prediction) -> float:
    a, b = set(one["notes"]), set(other["notes"])
    return 100.0 * len(a & b) / len(a | b) if a | b else 100.0


@POSTPROCESS.register("notes-heard", agreement=_agree)
def notes_heard(
    recipe: Recipe,
    outputs: Mapping[str, NDArray[Any]],
    sample: Sample,
    *,
    output: Annotated[str, Field(description="Which says of each frame and note how likely.")],
    threshold: Annotated[float, Field(gt=0, lt=1, description="From which it is heard.")] = 0.5,
    least: Annotated[int, Field(ge=1, description="Frames that a note lasts.")] = 20,
) -> Prediction:
    """`notes` that last so many frames, as MIDI counts them."""
    frames = (outputs[output][0] >= threshold).sum(axis=0)
    return {"notes": [int(at) + _LOWEST for at in np.flatnonzero(frames >= least)]}


@METRICS.register("notes_f1_pct", reads="notes-heard", best=100.0, whole=True)
def notes_f1_pct(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Harmonic mean of how many heard notes are played, and how many played ones are heard."""
    pairs = [
        (set(found["notes"]), set(_NOTES.validate_python(one.label)))
        for found, one in zip(predictions, samples, strict=True)
    ]
    right = sum(len(heard & played) for heard, played in pairs)
    return 100 * 2 * right / sum(len(heard) + len(played) for heard, played in pairs)
