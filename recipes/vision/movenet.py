"""A person's joints out of MoveNet's answer, in the picture's pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.recipes import POSTPROCESS, Prediction, Recipe, Sample, fitted

# Pairs of joints that a limb joins, in MoveNet's (COCO's) order of the seventeen.
_LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
_SURE = 0.3


@POSTPROCESS.register("movenet", like="values")
def movenet(recipe: Recipe, outputs: Mapping[str, NDArray[Any]], sample: Sample) -> Prediction:
    """`values`, the answer itself; `points` of the joints that it is sure of, and `lines`."""
    (answer,) = outputs.values()
    joints = answer.reshape(-1, 3).astype(np.float64)  # y, x and score, as shares of the input
    (shape,) = (spec.shape for spec in recipe.inputs.values() if spec.shape)
    height, width = shape[1:3]
    picture = np.asarray(sample.value)
    inner = fitted(picture, height, width, keep_aspect=True)
    scale = width * picture.shape[1] / inner[1], height * picture.shape[0] / inner[0]
    sure = [number for number, joint in enumerate(joints) if joint[2] >= _SURE]
    points = [
        [round(joints[one, 1] * scale[0], 1), round(joints[one, 0] * scale[1], 1)] for one in sure
    ]
    lines = [[sure.index(a), sure.index(b)] for a, b in _LIMBS if a in sure and b in sure]
    return {"values": joints.ravel().tolist(), "points": points, "lines": lines}
