"""How far one set of outputs lies from another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from edgetvm.models.model import Arrays

# JSON has no infinity: it is written as a text, which is read back as a number.
_NO_NUMBERS = ("inf", "-inf", "nan")
JsonFloat = Annotated[
    float,
    BeforeValidator(lambda value: float(value) if value in _NO_NUMBERS else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else str(value), when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": list(_NO_NUMBERS)}]}),
]


@dataclass(frozen=True)
class Correctness:
    """How far the compiled model's outputs lie from its reference runtime's, on the same inputs.

    Attributes:
        reference: name and version of the reference.
        max_abs_error: largest absolute difference over all elements of all outputs.
        max_relative_error: largest error of an element beside the values around it, see
            `worst_error`.
        tolerance: the relative error from which a model is refused.
        worst_output: the output with the largest relative error.
        samples: input sets compared (chunks, for a stream).
        inputs: what they were: `random, seed 0`, or the recipe's data, or those of a folder.
        checked_on: where the compiled model ran for this.
        float32_error: the relative error of the same model compiled in float32, where this one was
            not; None where it was, or where it was not measured.
        rms_relative_error: of the same output, where the graph rounds to 8 bits between its
            operators; else None. See `rms_relative`.
        own_data: the name of the user's folder whose data took the place of the recipe's; None for
            the recipe's own.
    """

    reference: str
    max_abs_error: JsonFloat
    max_relative_error: JsonFloat
    tolerance: float
    worst_output: str
    samples: int
    inputs: str
    checked_on: str = "this machine"
    float32_error: JsonFloat | None = None
    rms_relative_error: JsonFloat | None = None
    own_data: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance (never true for NaN)."""
        return self.max_relative_error <= self.tolerance


# A saturated sigmoid or a softmax over thousands is tiny, and its last bits are noise: no element
# is judged by less than a hundredth, nor by less than a hundredth of its output's largest value.
_LEAST_SCALE = 1e-2
# That alone would let zeros pass for an output that is tiny throughout.
_TINY_SHARE = 0.02
_LEAST_MAGNITUDE = 1e-6
# float16 keeps 11 bits where float32 keeps 24, and sums are as long: its errors count a sixteenth.
_COARSENESS = {"float16": 16.0}


@dataclass(frozen=True)
class OutputError:
    """The error of one output: absolute, relative as `worst_error` says, and by `rms_relative`."""

    output: str
    max_abs_error: float
    max_relative_error: float
    rms_relative_error: float


def worst_error(
    found: Arrays, expected: Arrays, quanta: Mapping[str, float] | None = None
) -> OutputError:
    """The output that lies furthest from what is expected.

    Each element's error is divided by the largest value of its row or column, whichever is less (a
    detector's boxes in pixels and its scores may share a tensor), with the floors above. Integers
    must be equal, but for one quantum of 8-bit ones. In a quantised output an error of one quantum
    is none.

    Equal infinities and NaN in the same places are equal; NaN anywhere else is an infinite error,
    as are a missing output and another shape.

    Args:
        found, expected: arrays by output name.
        quanta: steps between neighbouring values of quantised outputs, see `Signature.quanta`.
    """
    worst = OutputError(next(iter(expected), ""), 0.0, 0.0, 0.0)
    for name, wanted in expected.items():
        error = _error(name, found.get(name), wanted, (quanta or {}).get(name, 0.0))
        if badness(error) > badness(worst):
            worst = error
    return worst


def badness(error: OutputError) -> tuple[float, float]:
    """What errors are ordered by."""
    return error.max_relative_error, error.max_abs_error


def _error(name: str, found: np.ndarray | None, wanted: np.ndarray, quantum: float) -> OutputError:
    wrong = OutputError(name, float("inf"), float("inf"), float("inf"))
    if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        return wrong
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differs.any():
        return OutputError(name, 0.0, 0.0, 0.0)
    errors = np.where(differs, np.abs(np.subtract(a, b, where=differs, out=np.zeros_like(a))), 0.0)
    largest = float(errors.max())
    if not np.isfinite(largest):
        return wrong
    magnitudes = np.where(np.isfinite(b), np.abs(b), 0.0)
    magnitude = float(magnitudes.max())
    if wanted.dtype.kind in "iub":
        relative = _integer_error(largest, magnitude, wanted.dtype, quantum)
        return OutputError(name, largest, relative, rms_relative(found, wanted))
    if quantum:  # the step itself is rounded to the dtype
        errors = np.maximum(errors - quantum * (1 + 1e-6), 0.0)
    relative = max(
        float((errors / _scales(magnitudes, magnitude)).max()),
        _TINY_SHARE * float(errors.max()) / max(magnitude, _LEAST_MAGNITUDE),
    )
    relative /= _COARSENESS.get(wanted.dtype.name, 1.0)
    return OutputError(name, largest, relative, rms_relative(found, wanted))


def _scales(magnitudes: np.ndarray, magnitude: float) -> np.ndarray:
    """What each element's error is divided by."""
    scales = np.full(magnitudes.shape, magnitude)
    for axis, size in enumerate(magnitudes.shape):
        if size > 1:
            scales = np.minimum(scales, magnitudes.max(axis=axis, keepdims=True))
    floored: np.ndarray = np.maximum(scales, max(_LEAST_SCALE, 0.01 * magnitude))
    return floored


def _integer_error(
    largest: float, magnitude: float, dtype: np.dtype[np.generic], quantum: float
) -> float:
    if quantum or (dtype.itemsize == 1 and dtype.kind in "iu"):
        return 0.0 if largest <= 1 else largest / max(magnitude, 1.0)
    return float("inf")


def rms_relative(found: np.ndarray, wanted: np.ndarray) -> float:
    """Root mean square of the differences by that of what is expected; 0 where both are zero."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differences = np.where(same, 0.0, np.subtract(a, b, where=~same, out=np.zeros_like(a)))
    size = float(np.sqrt(np.mean(np.square(b[np.isfinite(b)])))) if np.isfinite(b).any() else 0.0
    error = float(np.sqrt(np.mean(np.square(differences)))) if a.size else 0.0
    return error / size if size else (float("inf") if error else 0.0)
