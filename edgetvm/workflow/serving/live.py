"""A signal that comes chunk by chunk: what a recipe's stream makes of it, as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import UsageError
from edgetvm.models.model import Arrays, Signature
from edgetvm.recipes import POSTPROCESS, Prediction, Recipe, Sample, interpret, prepare
from edgetvm.workflow.serving.dictation import Dictation

Signal = NDArray[np.float32]

# Preprocessing hears so much of the past.
_HEARD_S = 1.0
# A class of less than this share is none.
_LEAST_SCORE = 0.5
_BACKGROUND = ("silence", "unknown", "_silence_", "_unknown_", "background", "_background_noise_")
_WORDS = {"voice-activity-detection": "speech"}


@dataclass(frozen=True)
class Said:
    """What the answer to a chunk says.

    Attributes:
        word: that is heard now; empty where none is.
        score: of that, or of what came nearest.
        text: of the last ten seconds, where the model writes.
    """

    word: str
    score: float
    text: str = ""


@dataclass(frozen=True)
class Event:
    """A word.

    Attributes:
        what: became of it; nothing of one that was written down.
        at_s: the end of the chunk that told, since the stream's begin.
    """

    word: str
    what: Literal["begins", "is over", ""]
    at_s: float


class LiveStream:
    """One stream of one listener."""

    def __init__(self, recipe: Recipe, signature: Signature) -> None:
        """Begin it, in silence.

        Raises:
            UsageError: see `is_live`.
        """
        if recipe.stream is None or not is_live(recipe):
            raise UsageError("nothing live comes of it", where=recipe.name, mend=_MEND)
        self._recipe, self._stream = recipe, recipe.stream
        self._states = signature.states
        self._carried = dict(signature.initial_states())
        chunks = -(-max(self._stream.window_samples, self._rate_hz * _HEARD_S) // self.hop)
        self._heard: Signal = np.zeros(int(chunks) * self.hop, np.float32)
        self._reader = _READERS[_form(recipe)]
        kept = max(1, round(1000 * self._reader.kept_s / self._stream.chunk_ms))
        self._answers: deque[Arrays] = deque(maxlen=kept)
        self._count, self._word, self._dictation = 0, "", Dictation()

    @property
    def hop(self) -> int:
        """Samples of a chunk."""
        return self._stream.hop_samples

    @property
    def _rate_hz(self) -> int:
        return self._stream.sample_rate_hz

    def inputs(self, chunk: Signal) -> dict[str, NDArray[Any]]:
        """The model's inputs for the next chunk, its states included.

        Args:
            chunk: `[hop]`, in -1..1.

        Raises:
            ConfigurationError: the recipe's preprocess does not take signals.
        """
        self._heard = np.concatenate([self._heard[self.hop :], chunk])
        windows = prepare(self._recipe, self._sample)
        return {**self._carried, **{name: rows[-1] for name, rows in windows.items()}}

    def answered(self, outputs: Arrays) -> tuple[Said, list[Event]]:
        """What the model's outputs for that chunk say, and what began or ended with it.

        Raises:
            ConfigurationError: the recipe's postprocess does not fit the outputs.
        """
        self._carried = {one.input: outputs[one.output] for one in self._states}
        states = {one.output for one in self._states}
        self._answers.append({name: one for name, one in outputs.items() if name not in states})
        stacked = {
            name: np.stack([one[name] for one in self._answers]) for name in self._answers[0]
        }
        prediction = interpret(self._recipe, stacked, self._sample)
        said = self._reader.read(self._recipe, prediction)
        self._count += 1
        return said, self._events(said)

    @property
    def _sample(self) -> Sample:
        return Sample("live", self._heard, attributes={"sample_rate_hz": self._rate_hz})

    def _events(self, said: Said) -> list[Event]:
        at_s = self._count * self.hop / self._rate_hz
        written = [Event(word, "", at_s) for word in self._dictation.heard(said.text)]
        before, self._word = self._word, said.word
        if before == said.word:
            return written
        over = [Event(before, "is over", at_s)] if before else []
        begun = [Event(said.word, "begins", at_s)] if said.word else []
        return [*over, *begun, *written]


def is_live(recipe: Recipe) -> bool:
    """Whether it has a stream, and its answers tell what is heard."""
    return recipe.stream is not None and _form(recipe) in _READERS


def _form(recipe: Recipe) -> str:
    return POSTPROCESS.form(recipe.postprocess.name) if recipe.postprocess else ""


def _speech(recipe: Recipe, prediction: Prediction) -> Said:
    word = _word_of(recipe) if prediction["speech"][-1] else ""
    return Said(word, prediction["probabilities"][-1])


def _word_of(recipe: Recipe) -> str:
    """What it listens for: the one phrase that its data want, or its own name."""
    wanted: Sequence[str] = recipe.data.parameters.get("wanted", ()) if recipe.data else ()
    usual = wanted[0] if len(wanted) == 1 else recipe.name.rpartition("/")[2]
    return _WORDS.get(recipe.task, usual)


def _classes(_recipe: Recipe, prediction: Prediction) -> Said:
    best = prediction["classes"][0]
    is_word = best["label"] not in _BACKGROUND and best["score"] >= _LEAST_SCORE
    return Said(best["label"] if is_word else "", best["score"])


def _text(_recipe: Recipe, prediction: Prediction) -> Said:
    return Said("", prediction["score"], prediction["text"])


@dataclass(frozen=True)
class _Reader:
    """How predictions of a form are read.

    Attributes:
        kept_s: of how much signal the answers go into one prediction; one answer at least.
    """

    read: Callable[[Recipe, Prediction], Said]
    kept_s: float


_READERS: Mapping[str, _Reader] = {
    "speech-probability": _Reader(_speech, 2.0),
    "top-k": _Reader(_classes, 0.0),
    "ctc-text": _Reader(_text, 10.0),
}
_MEND = f"name a recipe with a `stream` and one of: {', '.join(_READERS)}"
