"""Text of a picture, by three networks: where lines are, which way up they stand, what they say.

Source: PP-OCR, https://github.com/PaddlePaddle/PaddleOCR
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.recipes import PIPELINES, Prediction, Sample, Stages

_HALF_A_TURN = "180"


@PIPELINES.register("read-text", reads="ctc-text")
def read_text(
    stages: Stages,
    sample: Sample,
    *,
    margin: Annotated[float, Field(ge=0, description="Around a line, of its height.")] = 0.1,
) -> Prediction:
    """`text` of all lines from top to bottom, and `boxes` with a text and a score for each."""
    picture = np.asarray(sample.value)
    lines, boxes, scores = [], [], []
    found = stages["detect"].predict(sample)["boxes"]
    cuts = [_cut(picture, box, margin) for box in found]
    if _is_turned(stages, cuts):
        # Lines are told from top to bottom.
        found, cuts = found[::-1], [np.ascontiguousarray(cut[::-1, ::-1]) for cut in cuts[::-1]]
    for box, cut in zip(found, cuts, strict=True):
        read = stages["recognise"].predict(Sample("line", cut))
        if read["text"].strip():
            lines.append(read["text"].strip())
            boxes.append(box)
            scores.append(read["score"])
    return {"text": "\n".join(lines), "boxes": boxes, "texts": lines, "scores": scores}


def _cut(picture: NDArray[Any], box: list[int], margin: float) -> NDArray[Any]:
    """A line; thin ones would lose their edges without a margin."""
    x0, y0, x1, y1 = box
    more = round(margin * (y1 - y0))
    rows = slice(max(0, y0 - more), y1 + more)
    return np.ascontiguousarray(picture[rows, max(0, x0 - more) : x1 + more])


def _is_turned(stages: Stages, cuts: list[NDArray[Any]]) -> bool:
    """Whether the page stands on its head: one line is easily mistaken, all together hardly."""
    found = [stages["classify"].predict(Sample("line", cut))["classes"][0] for cut in cuts]
    votes = [one["score"] if one["label"] == _HALF_A_TURN else -one["score"] for one in found]
    return sum(votes) > 0
