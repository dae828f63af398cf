"""A recording of one's own in place of a recipe's data: from a file, or from a microphone."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.base.files import storage_errors
from edgetvm.recipes.recipe import ModelFile, Recipe
from edgetvm.recipes.registry import Processing

PROGRAM = "arecord"
_GRACE_S = 20.0
# What a shell says of a command that is not there.
_NOT_FOUND = 127


def with_audio(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with a WAV file as its data. Nothing says what is heard in it: no metric is left.

    Raises:
        UsageError: the recipe takes no signal.
    """
    if recipe.stream is None:
        raise UsageError(
            "it takes no audio", where=recipe.name, mend="name a recipe with a `stream` section"
        )
    source = ModelFile(path=path.absolute())
    data = Processing("wav", {"source": source, "sample_rate_hz": recipe.stream.sample_rate_hz})
    return replace(recipe, data=data, metrics=(), accept={})


@dataclass(frozen=True)
class Heard:
    """How a command that records ended.

    Attributes:
        exit_code: 127 where there is no such program.
        signal: 16-bit numbers, little-endian.
        said: its last words.
    """

    exit_code: int
    signal: bytes
    said: str


def record(
    path: Path,
    seconds: float,
    sample_rate_hz: int,
    run: Callable[[list[str], float], Heard] | None = None,
    where: str | None = None,
) -> None:
    """Record from a microphone, in 16 bits, into a WAV file.

    Args:
        run: runs a command for so many seconds at most, where the microphone is; this machine
            without it. TimeoutError where it does not end.
        where: that is, in errors.

    Raises:
        MissingToolError: there is no `arecord`.
        ConfigurationError: it cannot record.
    """
    samples = round(seconds * sample_rate_hz)
    form = ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(sample_rate_hz)]
    mend = "see which microphones there are: arecord -l"
    try:
        heard = (run or _here)([PROGRAM, *form, "-s", str(samples), "-"], seconds + _GRACE_S)
    except TimeoutError as error:
        raise ConfigurationError("the microphone gives nothing", where=where, mend=mend) from error
    if heard.exit_code == _NOT_FOUND:
        raise MissingToolError(
            "arecord is missing, which reads the microphone",
            where=where,
            mend="install alsa-utils there: apt-get install alsa-utils",
        )
    if heard.exit_code or len(heard.signal) != 2 * samples:
        why = heard.said if heard.exit_code else "it ended too soon"
        raise ConfigurationError(f"arecord cannot record: {why}", where=where, mend=mend)
    with storage_errors(path), wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(heard.signal)


def _here(words: list[str], timeout_s: float) -> Heard:
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        return Heard(_NOT_FOUND, b"", "")
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return Heard(done.returncode, done.stdout, lines[-1])
