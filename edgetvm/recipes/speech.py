"""Speech to be understood under noise: spoken by espeak-ng, and recordings with their texts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import storage_errors
from edgetvm.recipes.data import Line, Positive, Sample, Seconds, Signal, loud_part, spoken, wav
from edgetvm.recipes.noise import Noise, with_noise
from edgetvm.recipes.recipe import ModelFile
from edgetvm.recipes.registry import DATA

Voice = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+_-]*$")]
Ratios = Annotated[
    tuple[float, ...],
    Field(description="A sample for each: power of speech over that of the noise, in decibels."),
]
Kind = Annotated[Noise, Field(description="The noise's sort.")]
Seed = Annotated[int, Field(ge=0, description="Of the noise.")]


@DATA.register("noisy-speech")
def noisy_speech(
    *,
    wanted: Annotated[
        tuple[Line, ...], Field(min_length=1, description="What is to be found: each a span.")
    ],
    others: Annotated[tuple[Line, ...], Field(description="Said before each, not to be found.")],
    voices: Annotated[
        tuple[Voice, ...],
        Field(min_length=1, description="As `espeak-ng --voices`: each says all."),
    ] = ("en",),
    snr_db: Ratios = (20.0,),
    noise: Kind = "pink",
    pause_s: Annotated[Seconds, Field(description="Before, between and after.")] = 1.0,
    sample_rate_hz: Annotated[Positive, Field(description="Of the signal.")] = 16000,
    seed: Seed = 0,
) -> tuple[Sample, ...]:
    """Lines spoken by espeak-ng in several voices, under noise; the label is the spans of some."""
    silence = np.zeros(round(pause_s * sample_rate_hz), np.float32)
    pieces: list[Signal] = [silence]
    spans = []
    for voice in voices:
        for line, is_wanted in _in_turn(wanted, others):
            piece = spoken(line, voice, sample_rate_hz)
            start = sum(map(len, pieces))
            first, last = loud_part(piece, sample_rate_hz)
            if is_wanted:
                spans.append([(start + first) / sample_rate_hz, (start + last) / sample_rate_hz])
            pieces += [piece, silence]
    clean = np.concatenate(pieces)
    attributes = {"sample_rate_hz": sample_rate_hz}
    return tuple(
        noisy
        for ratio in snr_db
        for noisy in _under_noise(Sample("speech", clean, spans, attributes), ratio, noise, seed)
    )


def _in_turn(wanted: tuple[str, ...], others: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Every line once: the others spread evenly before the wanted ones."""
    turns: list[tuple[str, bool]] = []
    for index, line in enumerate(wanted):
        first, last = (len(others) * (index + more) // len(wanted) for more in (0, 1))
        turns += [(other, False) for other in others[first:last]]
        turns.append((line, True))
    return turns


def _under_noise(sample: Sample, snr_db: float, noise: Noise, seed: int) -> tuple[Sample]:
    clean, noisy = with_noise(np.asarray(sample.value), snr_db, noise, seed)
    attributes = {**sample.attributes, "clean": clean, "snr_db": snr_db}
    name = f"{sample.name} at {snr_db:g} dB"
    return (replace(sample, name=name, value=noisy, attributes=attributes),)


@DATA.register("recordings-with-texts")
def recordings_with_texts(
    *,
    folder: Annotated[str, Field(description="That holds the recordings and the list.")],
    texts: Annotated[
        str, Field(description="The list: lines `<s> text </s> (name)`, or `name text`.")
    ] = "transcription",
    debian_package: Annotated[str, Field(description="That brings the folder.")] = "",
    sample_rate_hz: Annotated[Positive, Field(description="Resampled to it.")] = 16000,
    snr_db: Ratios = (),
    noise: Kind = "pink",
    seed: Seed = 0,
) -> tuple[Sample, ...]:
    """Recordings with what is said in them, as speech corpora have them; with noise, if asked."""
    path = Path(folder, texts)
    if not path.is_file():
        mend = f"run: apt-get install {debian_package}" if debian_package else "see `data.folder`"
        raise ConfigurationError("no such list of texts", where=str(path), mend=mend)
    with storage_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, text = _named_text(path, number, line)
        source = ModelFile(path=Path(folder, f"{name}.wav"))
        (sample,) = wav(source=source, sample_rate_hz=sample_rate_hz, label=text)
        shifted = (
            noisy for ratio in snr_db for noisy in _under_noise(sample, ratio, noise, seed + number)
        )
        found += [*shifted] if snr_db else [sample]
    return tuple(found)


_SPHINX = re.compile(r"\s*(?:<s>)?\s*(?P<text>.*?)\s*(?:</s>)?\s*\((?P<name>[^()\s]+)\)\s*")
_KALDI = re.compile(r"\s*(?P<name>\S+)\s+(?P<text>.*\S)\s*")


def _named_text(path: Path, number: int, line: str) -> tuple[str, str]:
    found = _SPHINX.fullmatch(line) or _KALDI.fullmatch(line)
    if found is None or Path(found["name"]).name != found["name"]:
        raise ConfigurationError(
            f"no text with its recording: {line[:80]!r}",
            where=f"{path}:{number}",
            mend="write `name text`, or `<s> text </s> (name)`",
        )
    return found["name"], found["text"]
