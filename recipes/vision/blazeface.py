"""Faces out of BlazeFace's answers: anchors, decoding, and boxes of one face made one.

Source: Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, 2019;
anchors and scales as in MediaPipe's face_detection_short_range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.recipes import POSTPROCESS, Prediction, Recipe, Sample, fitted

_SIDE = 128
# Side of a grid and anchors in each of its cells: all anchors are a cell's centre.
_GRIDS = ((16, 2), (8, 6))
_SAME_FACE = 0.3  # intersection over union
_EYES_TO_EARS = 6  # points of a face


@POSTPROCESS.register("blazeface", like="text-boxes")
def blazeface(
    recipe: Recipe,
    outputs: Mapping[str, NDArray[Any]],
    sample: Sample,
    *,
    threshold: Annotated[float, Field(ge=0, le=1, description="Least score of a face.")] = 0.5,
) -> Prediction:
    """`boxes` [x0, y0, x1, y1] of faces with `scores`, and `points`: eyes, nose, mouth, ears."""
    from scipy.special import expit

    raw = outputs["regressors"].reshape(-1, 4 + 2 * _EYES_TO_EARS).astype(np.float64) / _SIDE
    scores = expit(outputs["classificators"].reshape(-1).astype(np.float64))
    centres = _anchors()
    picture = np.asarray(sample.value)
    inner = fitted(picture, _SIDE, _SIDE, keep_aspect=True)
    scale = np.array([_SIDE * picture.shape[1] / inner[1], _SIDE * picture.shape[0] / inner[0]])
    middle = raw[:, :2] + centres
    corners = np.concatenate([middle - raw[:, 2:4] / 2, middle + raw[:, 2:4] / 2], axis=1)
    boxes = corners * np.tile(scale, 2)
    points = (raw[:, 4:].reshape(len(raw), -1, 2) + centres[:, np.newaxis]) * scale
    kept = _of_each_face(boxes, scores, np.flatnonzero(scores >= threshold))
    return {
        "boxes": [np.round(boxes[list(one)].mean(axis=0), 1).tolist() for one in kept],
        "scores": [float(scores[one[0]]) for one in kept],
        "points": [np.round(point, 1).tolist() for one in kept for point in points[one[0]]],
    }


def _anchors() -> NDArray[np.float64]:
    found = []
    for side, count in _GRIDS:
        places = (np.arange(side) + 0.5) / side
        x, y = np.meshgrid(places, places)
        found.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0))
    return np.concatenate(found)


def _of_each_face(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], left: NDArray[np.int64]
) -> list[list[int]]:
    """Numbers of the boxes of each face, the best first."""
    order = [int(one) for one in left[np.argsort(-scores[left], kind="stable")]]
    faces = []
    while order:
        best = boxes[order[0]]
        same = [one for one in order if _overlap(best, boxes[one]) >= _SAME_FACE]
        faces.append(same or order[:1])
        order = [one for one in order if one not in faces[-1]]
    return faces


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    sides = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]))
    common = float(sides.prod())
    both = float(np.maximum(0, a[2:] - a[:2]).prod() + np.maximum(0, b[2:] - b[:2]).prod())
    return common / (both - common) if both > common else 0.0
