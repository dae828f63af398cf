"""Speech to be understood under noise: spoken by espeak-ng, and recordings with their texts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.base.files import read_errors
from edgetvm.recipes.data import (
    Line,
    Positive,
    Sample,
    Seconds,
    Signal,
    loud_part,
    spoken,
    wav,
    wav_signal,
)
from edgetvm.recipes.noise import Noise, with_noise
from edgetvm.recipes.recipe import ModelFile
from edgetvm.recipes.registry import DATA

_FFMPEG_TIMEOUT_S = 60

Voice = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+_-]*$")]
Ratios = Annotated[
    tuple[float, ...],
    Field(description="A sample for each: power of speech over that of the noise, in decibels."),
]
Kind = Annotated[Noise, Field(description="The noise's sort.")]
Seed = Annotated[int, Field(ge=0, description="Of the noise.")]


@DATA.register("noisy-speech", gives="recordings")
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


@DATA.register("recordings-with-texts", gives="recordings")
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
    """Recordings with what is said in them, as speech corpora have them; with noise, if asked.

    To put noise on them, what is said need not be known: without a list all are taken.
    """
    path = Path(folder, texts)
    if not path.is_file() and debian_package:
        raise MissingToolError(
            "no such list of texts",
            where=str(path),
            mend=f"run: apt-get install {debian_package}",
        )
    unlisted = sorted(Path(folder).glob("*.wav")) if snr_db and not path.is_file() else []
    named: Iterable[tuple[int, str, str | None]] = [
        (at, one.stem, None) for at, one in enumerate(unlisted, start=1)
    ] or _listed(path)
    found = []
    for number, name, text in named:
        source = ModelFile(path=Path(folder, f"{name}.wav"))
        (sample,) = wav(source=source, sample_rate_hz=sample_rate_hz, label=text)
        shifted = (
            noisy for ratio in snr_db for noisy in _under_noise(sample, ratio, noise, seed + number)
        )
        found += [*shifted] if snr_db else [sample]
    return tuple(found)


def _listed(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """The line's number, the recording's name and its text, of each line."""
    if not path.is_file():
        raise ConfigurationError(
            "no such list of texts",
            where=str(path),
            mend="write it: a line `name text` for each recording, name.wav, in that folder",
        )
    with read_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield (number, *_named_text(path, number, line))


@DATA.register("common-voice", gives="recordings")
def common_voice(
    *,
    folder: Annotated[
        str, Field(description="Of a language: Mozilla's `de`, or a split that `datasets` saved.")
    ],
    split: Annotated[str, Field(description="Of Mozilla's: `test` is `test.tsv`.")] = "test",
    most: Annotated[Positive, Field(description="So many recordings, the first ones.")] = 100,
    sample_rate_hz: Annotated[Positive, Field(description="Resampled to it.")] = 16000,
) -> tuple[Sample, ...]:
    """Common Voice's recordings with their sentences, marks and capitals left out.

    Both forms are read: Mozilla's own (`test.tsv` beside `clips`), and a split of the data set of
    that name as Hugging Face's `datasets` saves it to disk.
    """
    path = Path(folder)
    if (path / f"{split}.tsv").is_file():
        rows = _mozillas(path, split, most)
    elif (path / "dataset_info.json").is_file():
        rows = _saved_rows(path, most)
    else:
        raise ConfigurationError(
            f"neither {split}.tsv nor dataset_info.json in it",
            where=str(path),
            mend="get a language from https://commonvoice.mozilla.org and unpack it there",
        )
    return tuple(
        Sample(
            name,
            decoded(recording, name, sample_rate_hz),
            plain_words(sentence),
            {"sample_rate_hz": sample_rate_hz},
        )
        for name, recording, sentence in rows
    )


def _mozillas(path: Path, split: str, most: int) -> list[tuple[str, bytes, str]]:
    with read_errors(path):
        lines = (path / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        head = lines[0].split("\t") if lines else []
        if not {"path", "sentence"} <= set(head):
            raise ConfigurationError(
                "no columns `path` and `sentence`",
                where=f"{path / split}.tsv:1",
                mend="is it Common Voice's?",
            )
        rows = [dict(zip(head, line.split("\t"), strict=False)) for line in lines[1 : most + 1]]
        for number, row in enumerate(rows, 2):
            if "path" not in row:
                raise ConfigurationError(
                    "fewer columns than its head",
                    where=f"{path / split}.tsv:{number}",
                    mend="unpack it anew",
                )
        return [
            (
                Path(row["path"]).name,
                (path / "clips" / Path(row["path"]).name).read_bytes(),
                row.get("sentence", ""),
            )
            for row in rows
        ]


def _saved_rows(path: Path, most: int) -> list[tuple[str, bytes, str]]:
    try:
        import datasets
    except ImportError as error:
        raise MissingToolError(
            "datasets is missing, which reads what Hugging Face saved",
            mend="run: pip install 'edgetvm[data]'",
        ) from error
    saved = datasets.load_from_disk(str(path)).cast_column("audio", datasets.Audio(decode=False))
    rows = [saved[number] for number in range(min(most, len(saved)))]
    return [
        (str(row["audio"]["path"] or number), row["audio"]["bytes"], row["sentence"])
        for number, row in enumerate(rows)
    ]


def decoded(recording: bytes, name: str, sample_rate_hz: int) -> Signal:
    """A recording's samples: a WAV file's, or by ffmpeg those of any other.

    Raises:
        MissingToolError: there is no ffmpeg.
        ConfigurationError: it is no recording.
    """
    if recording.startswith(b"RIFF"):
        return wav_signal(recording, name, sample_rate_hz)
    form = ["-f", "wav", "-ac", "1", "-ar", str(sample_rate_hz), "-loglevel", "error"]
    try:
        done = subprocess.run(
            ["ffmpeg", "-i", "pipe:0", *form, "pipe:1"],
            input=recording,
            capture_output=True,
            timeout=_FFMPEG_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            "ffmpeg is missing, which reads compressed recordings",
            mend="run: apt-get install ffmpeg",
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ConfigurationError(
            f"not a recording: {said[-1]}", where=name, mend="leave it out of the list"
        )
    return wav_signal(done.stdout, name, sample_rate_hz)


def plain_words(text: str) -> str:
    """Small letters; all marks but apostrophes become spaces."""
    text = text.lower().replace("\u2019", "'")
    kept = "".join(one if one.isalnum() or one == "'" else " " for one in text)
    return " ".join(kept.split())


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
