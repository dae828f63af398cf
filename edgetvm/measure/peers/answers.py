"""How far the answers of a peer lie from the model's own."""

from __future__ import annotations

import math

import numpy as np

from edgetvm.measure.peers.case import Arrays


def answer_error(found: Arrays, expected: Arrays) -> float:
    """How far answers lie from the expected ones, in the worst output: the root mean square of the
    differences over the standard deviation of the values (over their size, if all are alike).
    Infinite for another number, shape or not-a-numbers.

    Outputs that an engine has beyond the expected ones (a stream's state) do not count.
    """
    if len(found) < len(expected):
        return math.inf
    return max((_error(a, b) for a, b in zip(found, expected, strict=False)), default=math.inf)


# Less spread than this share of the size is rounding.
_ALIKE = 1e-3


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    if found.size != expected.size:
        return math.inf
    a, b = found.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    if not np.isfinite(a).all():
        return math.inf
    apart, size = float(np.sqrt(np.mean((a - b) ** 2))), float(np.sqrt(np.mean(b**2)))
    if apart == 0:
        return 0.0
    spread = float(b.std())
    scale = spread if spread > _ALIKE * size else size
    return apart / scale if scale else math.inf


# Reordered sums and Winograd lie below 1e-4, fast exponentials and error functions below 3e-3.
# A quantised graph may round every value to the other side, and layer by layer that adds up:
# points that MoveNet finds on a photograph move by 0.3. Anything else than the answer is above 1.
TOLERANCE = {"fp32": 5e-3, "int8": 0.35}
