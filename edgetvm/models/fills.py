"""Inputs made up: zeros, ones, or random numbers from a seed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import UsageError
from edgetvm.models.model import Signature, TensorSpec

FillMode = Literal["zeros", "ones", "random"]


def fill(signature: Signature, mode: FillMode, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Inputs for a model.

    Random floats are uniform in [0, 1); 8- and 16-bit integers take their whole range (they are
    quantised values); wider integers and booleans are 0 or 1, since they index or switch.

    Raises:
        UsageError: no such mode.
    """
    if mode not in get_args(FillMode):
        raise UsageError(f"fill mode {mode!r}", mend=f"one of {', '.join(get_args(FillMode))}")
    if mode != "random":
        value = 0 if mode == "zeros" else 1
        return {spec.name: np.full(spec.shape, value, spec.dtype) for spec in signature.inputs}
    generator = np.random.default_rng(seed)
    return {spec.name: _random(spec, generator) for spec in signature.inputs}


def _random(spec: TensorSpec, generator: np.random.Generator) -> NDArray[np.generic]:
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return generator.random(spec.shape).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, spec.shape, dtype, endpoint=True)
    return generator.integers(0, 2, spec.shape).astype(dtype)
