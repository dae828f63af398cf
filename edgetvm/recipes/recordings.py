"""A recording of one's own in place of a recipe's data: from a file, or from a microphone."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.recipes.recipe import ModelFile, Recipe
from edgetvm.recipes.registry import Processing

_GRACE_S = 20.0


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
    return replace(recipe, data=data, metrics=())


def record(path: Path, seconds: float, sample_rate_hz: int) -> None:
    """Record from this machine's microphone, in 16 bits, into a WAV file.

    Raises:
        MissingToolError: there is no `arecord`.
        ConfigurationError: it cannot record.
    """
    form = ["-q", "-t", "wav", "-f", "S16_LE", "-c", "1", "-r", str(sample_rate_hz)]
    samples = ["-s", str(round(seconds * sample_rate_hz))]
    try:
        done = subprocess.run(
            ["arecord", *form, *samples, str(path)],
            capture_output=True,
            timeout=seconds + _GRACE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            "arecord is missing, which reads the microphone", mend="run: apt-get install alsa-utils"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            "the microphone gives nothing", mend="see which there are: arecord -l"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ConfigurationError(
            f"arecord cannot record: {said[-1]}", mend="see which microphones there are: arecord -l"
        )
