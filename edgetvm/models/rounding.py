"""How far answers may lie apart because a graph rounds between its operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.correctness import worst_error
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Reference, Runner

# Sums in another order differ by less than a millionth; of many values, few lie so near to the
# border between two integers. Nudging by ten times as much makes some fall to the other side.
_NUDGE = 1e-5
# Of what moved in a few draws: the next one may move further.
_MARGIN = 2.0


def rounding_noise(
    answer: Callable[[Runner, Arrays], Arrays],
    reference: Reference,
    inputs: Arrays,
    expected: Arrays,
    quanta: Mapping[str, float],
) -> float:
    """How far a quantised graph's own answers move when it is changed by next to nothing.

    A value on the border between two integers becomes one or the other by its last bits, and from
    there on all layers differ. No implementation can be held to less than that. Inputs alone do not
    show it: a picture's pixels lie amid the steps of the first quantiser, which takes them for the
    same.

    Args:
        answer: lets a runner answer.
        reference: runs the graph.
        inputs: arrays by name, that it is to be compared on.
        expected: its answer to them.
        quanta: see `edgetvm.models.correctness.worst_error`.

    Returns:
        a relative error, as `worst_error` counts it; 0 where the graph does not round.
    """
    if not reference.shaken:
        return 0.0
    moved = (answer(one, _nudged(inputs, seed)) for seed, one in enumerate(reference.shaken))
    return _MARGIN * max(worst_error(one, expected, quanta).max_relative_error for one in moved)


def _nudged(inputs: Arrays, seed: int) -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(seed)
    return {name: _nudge(np.asarray(array), generator) for name, array in inputs.items()}


def _nudge(array: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    if array.dtype.kind != "f":
        return array
    moved: NDArray[Any] = array * (1 + _NUDGE * generator.uniform(-1, 1, array.shape))
    return moved.astype(array.dtype)
