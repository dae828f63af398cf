"""What a model found in a picture, drawn into it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_COLOUR = (214, 40, 57)
_PAPER = (255, 255, 255)
_LEAST_FONT, _FONT_SHARE = 11, 0.022  # of the picture's height


def is_drawable(value: object, prediction: Mapping[str, Any]) -> bool:
    """Whether a sample is a picture, and the prediction has boxes or points in it."""
    is_picture = isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype == np.uint8
    return is_picture and bool(prediction.get("boxes") or prediction.get("points"))


def drawn(picture: NDArray[np.uint8], prediction: Mapping[str, Any]) -> bytes:
    """The picture as PNG with what was found.

    Args:
        picture: `[height, width, 3]`.
        prediction: `boxes` are [x0, y0, x1, y1], `texts` stand above them, `points` are [x, y],
            `lines` pairs of numbers of points; in pixels. Any of them may lack.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture).copy()
    draw = ImageDraw.Draw(image)
    size = max(_LEAST_FONT, round(image.height * _FONT_SHARE))
    font = ImageFont.load_default(size=size)
    width = max(1, size // 7)
    boxes: Sequence[Sequence[float]] = prediction.get("boxes") or ()
    texts: Sequence[str] = prediction.get("texts") or [""] * len(boxes)
    for box, text in zip(boxes, texts, strict=True):
        draw.rectangle(_ordered(box), outline=_COLOUR, width=width)
        if text:
            _label(draw, font, (box[0], box[1] - size - 2 * width), text)
    points: Sequence[Sequence[float]] = prediction.get("points") or ()
    for one, other in prediction.get("lines") or ():
        draw.line([*points[one], *points[other]], fill=_COLOUR, width=width)
    for x, y in points:
        draw.ellipse([x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width], fill=_COLOUR)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _ordered(box: Sequence[float]) -> list[float]:
    return [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]


def _label(
    draw: ImageDraw, font: ImageFont | FreeTypeFont, at: tuple[float, float], text: str
) -> None:
    place = max(0.0, at[0]), max(0.0, at[1])
    draw.rectangle(draw.textbbox(place, text, font=font), fill=_PAPER)
    draw.text(place, text, fill=_COLOUR, font=font)
