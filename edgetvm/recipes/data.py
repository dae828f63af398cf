"""Where samples come from: pictures, drawn pages, synthetic and recorded speech, arrays."""

from __future__ import annotations

import io
import subprocess
import wave
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.base.files import read_errors
from edgetvm.recipes.fetch import fetch
from edgetvm.recipes.recipe import ModelFile, Recipe
from edgetvm.recipes.registry import DATA

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from edgetvm.recipes.pipeline import Pipeline

Array: TypeAlias = NDArray[Any]
Signal: TypeAlias = NDArray[np.float32]
Line = Annotated[str, Field(pattern=r"^[^\r\n]+$")]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0, le=60)]
Label = int | float | str | list[Any] | dict[str, Any] | None

_MAX_SIDE = 8192
_ESPEAK_TIMEOUT_S = 60
_FRAME_S = 0.01
_SPEECH_FLOOR = 0.01  # of the loudest frame: -40 dB


@dataclass(frozen=True, eq=False)
class Sample:
    """One thing to run a model on.

    Attributes:
        name: unlike that of the other samples of its source.
        value: a picture (uint8, height x width x RGB), a signal (float32 in -1..1), or the
            model's input arrays by name.
        label: what a metric compares with, as JSON knows it.
        attributes: what else is known of it: `sample_rate_hz`, `lines`.
    """

    name: str
    value: Array | dict[str, Array]
    label: Label = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def samples(recipe: Recipe | Pipeline) -> tuple[Sample, ...]:
    """The samples of a recipe; none where it has no `data`. The same ones at every call.

    Raises:
        ConfigurationError: the data cannot be what the recipe says.
        MissingToolError: a program or a download is missing.
        ModelUnreadableError: a file is missing, or its SHA-256 is another.
    """
    if recipe.data is None:
        return ()
    found = DATA.run(recipe.data)
    if not found:
        raise ConfigurationError("its data holds no sample", where=recipe.name, mend="add some")
    return found


@DATA.register("picture", gives="pictures")
def picture(
    *,
    source: Annotated[ModelFile, Field(description="The picture's file.")],
    label: Annotated[Label, Field(description="What it shows.")] = None,
) -> tuple[Sample, ...]:
    """One picture from a file."""
    from PIL import Image

    path = fetch(source)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    # Pillow says of a damaged PNG that it is a SyntaxError.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigurationError(
            f"not a picture: {error}", where=str(path), mend="use a PNG or JPEG file"
        ) from error
    return (Sample(source.basename, pixels, label),)


@DATA.register("rendered-page", gives="pictures")
def rendered_page(
    *,
    lines: Annotated[tuple[Line, ...], Field(min_length=1, description="Text of each line.")],
    size: Annotated[
        tuple[Positive, Positive] | None,
        Field(description="Width and height; without it the page fits its text."),
    ] = None,
    font_size: Annotated[int, Field(ge=4, le=400, description="Height of the letters.")] = 24,
    line_height: Annotated[Positive | None, Field(description="From line to line.")] = None,
    margin: Annotated[int, Field(ge=0, description="Around the text.")] = 16,
    rotations: Annotated[
        tuple[Literal[0, 180], ...],
        Field(min_length=1, description="A page for each, turned by so many degrees."),
    ] = (0,),
    label: Annotated[
        Literal["boxes", "text", "rotation"],
        Field(description="The label: boxes [x0, y0, x1, y1] of the lines, text, or rotation."),
    ] = "boxes",
) -> tuple[Sample, ...]:
    """Black text on white paper, drawn with Pillow's own font: the same pixels everywhere."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=font_size)
    step = line_height or round(font_size * 1.8)
    boxes = [_text_box(font, line, margin, margin + step * row) for row, line in enumerate(lines)]
    width, height = size or (
        max(box[2] for box in boxes) + margin,
        max(box[3] for box in boxes) + margin,
    )
    if max(box[2] for box in boxes) > width or max(box[3] for box in boxes) > height:
        raise ConfigurationError(
            "the lines do not fit on the page",
            where="data.size",
            mend=f"make it at least {[max(box[side] for box in boxes) for side in (2, 3)]}",
        )
    if max(width, height) > _MAX_SIDE:
        raise ConfigurationError(
            f"a page of {width} x {height} pixels",
            where="data.size",
            mend=f"keep both below {_MAX_SIDE}",
        )
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    for row, line in enumerate(lines):
        draw.text((margin, margin + step * row), line, fill="black", font=font)
    upright = np.asarray(page)
    found = []
    for rotation in rotations:
        turned = rotation == 180
        labels: dict[str, Label] = {
            "boxes": [
                [width - x1, height - y1, width - x0, height - y0] if turned else [x0, y0, x1, y1]
                for x0, y0, x1, y1 in boxes
            ],
            "text": "\n".join(lines),
            "rotation": str(rotation),
        }
        pixels = np.ascontiguousarray(upright[::-1, ::-1]) if turned else upright
        attributes = {"lines": list(lines), "rotation": rotation}
        found.append(Sample(f"page-{rotation}", pixels, labels[label], attributes))
    return tuple(found)


def _text_box(
    font: ImageFont | FreeTypeFont, line: str, left: int, top: int
) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = font.getbbox(line)
    return left + int(x0), top + int(y0), left + int(np.ceil(x1)), top + int(np.ceil(y1))


@DATA.register("espeak", gives="recordings")
def espeak(
    *,
    phrases: Annotated[tuple[Line, ...], Field(min_length=1, description="What is said.")],
    pause_s: Annotated[Seconds, Field(description="Silence before, between and after.")] = 1.0,
    voice: Annotated[
        str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+_-]*$", description="As `espeak-ng --voices`.")
    ] = "en",
    sample_rate_hz: Annotated[Positive, Field(description="Of the signal.")] = 16000,
) -> tuple[Sample, ...]:
    """Phrases spoken by espeak-ng with silence around; the label is the spans of speech."""
    silence = np.zeros(round(pause_s * sample_rate_hz), np.float32)
    pieces = [silence]
    spans = []
    for phrase in phrases:
        piece = spoken(phrase, voice, sample_rate_hz)
        start = sum(len(piece) for piece in pieces)
        first, last = loud_part(piece, sample_rate_hz)
        if last > first:
            spans.append([(start + first) / sample_rate_hz, (start + last) / sample_rate_hz])
        pieces += [piece, silence]
    attributes = {"sample_rate_hz": sample_rate_hz, "phrases": list(phrases)}
    return (Sample("speech", np.concatenate(pieces), spans, attributes),)


def spoken(phrase: str, voice: str, sample_rate_hz: int) -> Signal:
    """A line as espeak-ng says it.

    Raises:
        MissingToolError: there is no espeak-ng, or it does not answer.
        ConfigurationError: it does not know the voice.
    """
    try:
        done = subprocess.run(
            ["espeak-ng", "-v", voice, "--stdin", "--stdout"],
            input=phrase.encode(),
            capture_output=True,
            timeout=_ESPEAK_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            "espeak-ng is missing, which speaks the recipe's data",
            mend="run: apt-get install espeak-ng",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(
            f"espeak-ng did not answer in {_ESPEAK_TIMEOUT_S} s", mend="try: espeak-ng --version"
        ) from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()
        raise ConfigurationError(
            f"espeak-ng cannot speak {phrase!r}: {said}",
            where="data.voice",
            mend="see: espeak-ng --voices",
        )
    return _resampled(*_wav_signal(done.stdout, "espeak-ng"), sample_rate_hz)


def _wav_signal(data: bytes, where: str) -> tuple[Signal, int]:
    """Samples in -1..1, channels mixed to one, and the sample rate of a PCM WAV file."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate_hz = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(len(data))
    except (wave.Error, EOFError) as error:
        raise ConfigurationError(
            f"not a PCM WAV file: {str(error) or 'it ends too soon'}",
            where=where,
            mend="convert it: sox IN -b 16 OUT.wav",
        ) from error
    raw = raw[: len(raw) // (width * channels) * width * channels]
    if width == 1:
        values = np.frombuffer(raw, np.uint8).astype(np.float32) / 128 - 1
    elif width == 3:
        padded = np.zeros((len(raw) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        values = padded.view("<i4")[:, 0].astype(np.float32) / (1 << 31)
    else:
        values = np.frombuffer(raw, f"<i{width}").astype(np.float32) / (1 << (8 * width - 1))
    return values.reshape(-1, channels).mean(axis=1, dtype=np.float32), rate_hz


def wav_signal(data: bytes, where: str, sample_rate_hz: int) -> Signal:
    """Samples of a PCM WAV file, channels mixed to one, at another rate.

    Raises:
        ConfigurationError: it is none.
    """
    return _resampled(*_wav_signal(data, where), sample_rate_hz)


def _resampled(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    if from_hz == to_hz:
        return signal
    from scipy.signal import resample_poly

    ratio = Fraction(to_hz, from_hz)
    result = resample_poly(signal, ratio.numerator, ratio.denominator)
    return np.asarray(np.clip(result, -1, 1), np.float32)


def loud_part(signal: Signal, sample_rate_hz: int) -> tuple[int, int]:
    """From which sample to which a signal is not silent, in frames of 10 ms."""
    frame = max(1, round(_FRAME_S * sample_rate_hz))
    whole = np.pad(signal, (0, -len(signal) % frame)).reshape(-1, frame)
    energy = np.sqrt((whole**2).mean(axis=1))
    loud = np.flatnonzero(energy > _SPEECH_FLOOR * energy.max(initial=0.0))
    if len(loud) == 0:
        return 0, 0
    return int(loud[0]) * frame, min(int(loud[-1] + 1) * frame, len(signal))


@DATA.register("wav", gives="recordings")
def wav(
    *,
    source: Annotated[ModelFile, Field(description="A PCM WAV file.")],
    sample_rate_hz: Annotated[
        Positive | None, Field(description="Resampled to; as in the file without it.")
    ] = None,
    label: Annotated[
        Label, Field(description="What is heard: text, or [start, end] of speech in seconds.")
    ] = None,
) -> tuple[Sample, ...]:
    """One recording from a file, its channels mixed to one."""
    path = fetch(source)
    with read_errors(path):
        data = path.read_bytes()
    signal, rate_hz = _wav_signal(data, str(path))
    wanted_hz = sample_rate_hz or rate_hz
    attributes = {"sample_rate_hz": wanted_hz}
    return (Sample(source.basename, _resampled(signal, rate_hz, wanted_hz), label, attributes),)


@DATA.register("npz")
def npz(
    *,
    source: Annotated[ModelFile, Field(description="A file of numpy.savez.")],
    inputs: Annotated[
        tuple[str, ...] | None, Field(description="Which of its arrays; all without it.")
    ] = None,
    label: Annotated[Label, Field(description="What the arrays stand for.")] = None,
    labels: Annotated[
        str | None,
        Field(description="Which array has labels: then the others hold a sample in each row."),
    ] = None,
) -> tuple[Sample, ...]:
    """The model's input arrays by name, from a file: one sample, or many with their labels."""
    path = fetch(source)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(
            f"not a file of numpy.savez: {error}", where=str(path), mend="write it with numpy.savez"
        ) from error
    missing = {*(inputs or ()), *([labels] if labels else [])} - arrays.keys()
    if missing:
        raise ConfigurationError(
            f"no array {min(missing)!r} in it", where=str(path), mend=f"it has: {', '.join(arrays)}"
        )
    chosen = {name: arrays[name] for name in inputs or arrays if name != labels}
    if labels is None:
        return (Sample(source.basename, chosen, label),)
    return _rows(path, chosen, arrays[labels])


def _rows(path: Path, arrays: dict[str, Array], labels: Array) -> tuple[Sample, ...]:
    """A sample of each row; a row keeps its first axis, of one, which is the batch."""
    counts = {len(one) if one.ndim else 0 for one in (labels, *arrays.values())}
    if len(counts) != 1 or 0 in counts:
        raise ConfigurationError(
            f"its arrays have {' and '.join(map(str, sorted(counts)))} rows",
            where=str(path),
            mend="give one row of each input for every label",
        )
    return tuple(
        Sample(
            f"{path.name} {index}",
            {
                name: np.ascontiguousarray(array[index : index + 1])
                for name, array in arrays.items()
            },
            one.tolist(),
        )
        for index, one in enumerate(labels)
    )
