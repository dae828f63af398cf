"""What one file may cost while it is lowered."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# A real model stays far below: its constants are folded once or twice, and it has a few thousand
# steps. A hostile one asks for terabytes (FILL, TILE) or for ever (calls within calls) in 1 kB.
_BYTES = 1 << 27
_BYTES_PER_BYTE = 32
_STEPS = 100_000
_MOST_TENSOR_BYTES = 1 << 31


class Budget:
    """Counts down; everything that is folded or emitted asks it first."""

    def __init__(self, file_bytes: int) -> None:
        self._bytes = _BYTES + _BYTES_PER_BYTE * file_bytes
        self._steps = _STEPS

    def step(self, count: int = 1) -> None:
        """One more operator, or step of one.

        Raises:
            ValueError: more than any model has.
        """
        self._steps -= count
        if self._steps < 0:
            raise ValueError(f"it unrolls into more than {_STEPS} steps")

    def constant(self, shape: Sequence[int], dtype: str) -> None:
        """An array that is computed now.

        Raises:
            ValueError: all of them together are too large for a file of this size.
        """
        self._bytes -= math.prod(shape) * np.dtype(dtype).itemsize
        if self._bytes < 0:
            raise ValueError("its constants grow beyond all measure")

    def tensor(self, shape: Sequence[int], dtype: str) -> None:
        """A tensor that is computed when the model runs.

        Raises:
            ValueError: it alone is too large.
        """
        if math.prod(shape) * np.dtype(dtype).itemsize > _MOST_TENSOR_BYTES:
            raise ValueError(f"it makes {dtype}{list(shape)}, larger than 2 GiB")
