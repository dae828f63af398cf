"""How far one set of outputs lies from another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import PlainSerializer

from edgetvm.models.model import Arrays

# JSON has no infinity: it is written as the text "inf", which is read back as a number.
_JsonFloat = Annotated[
    float,
    PlainSerializer(lambda value: value if math.isfinite(value) else str(value), when_used="json"),
]


@dataclass(frozen=True)
class Correctness:
    """How far the compiled model's outputs lie from its reference runtime's, on the same inputs.

    Attributes:
        reference: name and version of the reference.
        max_abs_error: largest absolute difference over all elements of all outputs.
        max_relative_error: the same divided by the largest magnitude of that output; outputs
            below a hundredth are judged more mildly, see `worst_error`.
        tolerance: the relative error from which a model is refused.
        worst_output: the output with the largest relative error.
        samples: input sets compared (chunks, for a stream).
        inputs: what they were: `random, seed 0`, or the recipe's data.
        checked_on: where the compiled model ran for this.
    """

    reference: str
    max_abs_error: _JsonFloat
    max_relative_error: _JsonFloat
    tolerance: float
    worst_output: str
    samples: int
    inputs: str
    checked_on: str = "this machine"

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance (never true for NaN)."""
        return self.max_relative_error <= self.tolerance


# A saturated sigmoid or a softmax over thousands is tiny, and its last bits are noise: an output
# whose largest value is below a hundredth is judged as if it reached that, and its error relative
# to what it does reach counts a fiftieth, so that a kernel that answers zeros is still found.
_SMALL_MAGNITUDE = 1e-2
_SMALL_SHARE = 0.02
_LEAST_MAGNITUDE = 1e-6


@dataclass(frozen=True)
class OutputError:
    """The error of one output: absolute, and relative to the largest magnitude expected."""

    output: str
    max_abs_error: float
    max_relative_error: float


def worst_error(found: Arrays, expected: Arrays) -> OutputError:
    """The output that lies furthest from what is expected, relative to its largest magnitude.

    An output whose largest magnitude is below a hundredth is judged as if it reached that, with a
    fiftieth of its true relative error as the least.

    Equal infinities and NaN in the same places are equal; NaN anywhere else is an infinite error,
    as are a missing output and another shape.

    Args:
        found, expected: arrays by output name.
    """
    worst = OutputError(next(iter(expected), ""), 0.0, 0.0)
    for name, wanted in expected.items():
        error = _error(name, found.get(name), wanted)
        if error.max_relative_error > worst.max_relative_error:
            worst = error
    return worst


def _error(name: str, found: np.ndarray | None, wanted: np.ndarray) -> OutputError:
    if found is None or found.shape != wanted.shape:
        return OutputError(name, float("inf"), float("inf"))
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differs.any():
        return OutputError(name, 0.0, 0.0)
    largest = float(np.abs(a[differs] - b[differs]).max())
    if not np.isfinite(largest):
        return OutputError(name, float("inf"), float("inf"))
    magnitude = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    relative = max(
        largest / max(float(magnitude), _SMALL_MAGNITUDE),
        _SMALL_SHARE * largest / max(float(magnitude), _LEAST_MAGNITUDE),
    )
    return OutputError(name, largest, relative)
