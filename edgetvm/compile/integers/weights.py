"""The integers and scales that float weights were made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A float32 product of a scale and an integer is off by less than this, in steps.
_TOLERANCE = 1e-4
_MOST_STEPS = 255
# Steps to the largest weight. What quantisers give it comes first, then the fewest that will do.
_COUNTS = (127, *(n for n in range(1, _MOST_STEPS + 1) if n != 127))
# So many weights rule out nearly every wrong scale.
_SAMPLE = 64
_NEAR_SCALES = 3


def integer_weights(
    weights: NDArray[np.float32],
) -> tuple[NDArray[np.int16], NDArray[np.float32]] | None:
    """Float weights as integers times scales, where they are just that.

    The scale is that of the whole tensor or of each feature.

    Args:
        weights: [..., features].

    Returns:
        integers of at most 8 bits (as int16: without zero point they take 9) and [features]
        scales, or None where the weights are no multiples of so coarse a step.
    """
    flat = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    if not np.isfinite(flat).all():
        return None
    whole = _scales(flat.reshape(-1, 1))
    scales = _scales(flat) if whole is None else np.repeat(whole, flat.shape[-1])
    if scales is None:
        return None
    integers = np.round(flat / scales)
    if np.ptp(integers, axis=None) > _MOST_STEPS:
        return None
    return integers.astype(np.int16).reshape(weights.shape), scales.astype(np.float32)


def _scales(columns: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """For each column a scale of which all its values are multiples; None where one has none."""
    largest = np.abs(columns).max(axis=0)
    scales = np.where(largest == 0, 1.0, 0.0)
    sample = columns[_spread(len(columns))]
    for count in _COUNTS:
        open_ = np.flatnonzero(scales == 0)
        if not open_.size:
            break
        steps = largest[open_] / count
        likely = open_[_fits(sample[:, open_], steps)]
        fitting = likely[_fits(columns[:, likely], largest[likely] / count)]
        scales[fitting] = largest[fitting] / count
    if not scales.all():
        return None
    return np.array(
        [_exact(column, scale) for column, scale in zip(columns.T, scales, strict=True)]
    )


def _spread(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.intp))


def _fits(columns: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns are multiples of their step."""
    ratios = columns / steps
    fits: NDArray[np.bool_] = np.abs(ratios - np.round(ratios)).max(axis=0) <= _TOLERANCE
    return fits


def _exact(column: NDArray[np.float64], scale: float) -> float:
    """The float32 next to a scale whose products are the column, to the last bit if one's are."""
    single = np.float32(scale)
    near = [single]
    for direction in (np.inf, -np.inf):
        one = single
        for _ in range(_NEAR_SCALES):
            one = np.nextafter(one, np.float32(direction), dtype=np.float32)
            near.append(one)
    integers = np.round(column / scale).astype(np.float32)
    wanted = column.astype(np.float32)
    wrong = [int((integers * one != wanted).sum()) for one in near]
    return float(near[int(np.argmin(wrong))])
