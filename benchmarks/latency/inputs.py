"""What models are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def made_up(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], seed: int = 0
) -> NDArray[np.generic]:
    """An input: words for pictures, else noise; ids below 1000, masks of ones."""
    generator = np.random.default_rng(seed)
    if dtype.kind in "iu" and dtype.itemsize > 2:
        if "mask" in name:
            return np.ones(shape, dtype)
        return generator.integers(0, 2 if "type" in name else 1000, shape).astype(dtype)
    values = _picture(shape, generator) if len(shape) == 4 else generator.random(shape)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.round(limits.min + values * (limits.max - limits.min)).astype(dtype)
    return values.astype(dtype)


def _picture(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Words in black on a bright, slightly noisy ground, in [0, 1]; `shape` is NCHW or NHWC.

    Noise alone makes detectors answer with nothing but saturated zeros, which cannot be checked.
    """
    from PIL import Image, ImageDraw, ImageFont

    channels_first = shape[1] <= shape[3]
    height, width = shape[2:] if channels_first else shape[1:3]
    picture = Image.new("L", (width, height), 230)
    draw = ImageDraw.Draw(picture)
    size = max(8, min(height // 2, 40))
    font = ImageFont.load_default(size)
    for top in range(size // 4, max(1, height - size), 2 * size):
        draw.text((size // 2, top), generator.choice(_WORDS), fill=20, font=font)
    grey = np.asarray(picture) / 255
    values = grey[None, None] if channels_first else grey[None, ..., None]
    return np.clip(np.broadcast_to(values, shape) + 0.04 * generator.random(shape) - 0.02, 0, 1)


_WORDS = ("edge 2048 boards", "latency 17 ms", "neural networks", "Raspberry Pi 4")


def photograph(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[np.generic]:
    """A picture from a file as an input of 8-bit or float numbers; `shape` is NHWC."""
    from PIL import Image

    picture = Image.open(path).convert("RGB").resize((shape[2], shape[1]))
    values = np.asarray(picture)[None]
    return values if dtype == np.uint8 else (values / 255).astype(dtype)
