"""A video of one's own in place of a recipe's pictures: its frames, one after the other."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from edgetvm.base import cache
from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.base.files import sha256_of_file
from edgetvm.recipes.recipe import ModelFile, Recipe
from edgetvm.recipes.registry import DATA, Processing

# They come again after the last, and are sent to the board all at once.
MOST_FRAMES = 100
_TIMEOUT_S = 300.0


def with_video(recipe: Recipe, path: Path) -> Recipe:
    """The recipe with frames as its data. Nothing says what they show: no metric is left.

    Args:
        path: a video, of which `ffmpeg` decodes the first hundred frames; or a folder of pictures,
            which are taken in the order of their names.

    Raises:
        UsageError: the recipe takes no pictures.
        MissingToolError: there is no `ffmpeg`.
        ConfigurationError: it cannot decode the file.
        StorageError: the file cannot be read.
    """
    if (
        recipe.data is None
        or DATA.gives(recipe.data.name) != "pictures"
        or recipe.stream is not None
    ):
        raise UsageError(
            "it takes no pictures", where=recipe.name, mend="name a recipe whose data are pictures"
        )
    folder = path.absolute() if path.is_dir() else _decoded(path)
    data = Processing("folder", {"source": ModelFile(path=folder)})
    return replace(recipe, data=data, metrics=(), accept={})


def frame_rate_hz(path: Path) -> float:
    """Of a video file, as `ffprobe` tells it.

    Raises:
        MissingToolError, ConfigurationError: see `with_video`.
    """
    entry = ["-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate", "-of", "csv=p=0"]
    told = _ran(["ffprobe", "-v", "error", *entry, str(path)], path)
    try:
        rate_hz = float(Fraction(told.strip().rstrip(",")))
    except (ValueError, ZeroDivisionError):
        rate_hz = 0.0
    if rate_hz <= 0:
        raise ConfigurationError(
            "it does not tell its frame rate", where=str(path), mend="give it: --frame-rate 30"
        )
    return rate_hz


def _decoded(path: Path) -> Path:
    def make(folder: Path) -> None:
        limit = ["-frames:v", str(MOST_FRAMES)]
        _ran(["ffmpeg", "-v", "error", "-i", str(path), *limit, str(folder / "%06d.png")], path)

    depends_on = {"video": sha256_of_file(path), "most": MOST_FRAMES}
    return cache.get_or_make("frames", depends_on, make)[0]


def _ran(words: list[str], path: Path) -> str:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            f"{words[0]} is missing, which reads videos",
            mend="run: apt-get install ffmpeg; or give a folder of pictures",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(
            f"{words[0]} is not done after {_TIMEOUT_S:g} s",
            where=str(path),
            mend="give a shorter video",
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason is told"]
        raise ConfigurationError(
            f"{words[0]} cannot read it: {lines[-1]}",
            where=str(path),
            mend="does it play? convert it, or give a folder of pictures",
        )
    return done.stdout
