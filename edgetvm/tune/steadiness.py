"""Whether boards still compute as fast as they did: heat, power and other work slow them down.

Few boards tell that they throttle their clock. A default schedule that takes longer than it did on
the same board tells it of all.
"""

from __future__ import annotations

from collections import defaultdict, deque

# So many looks in a row, each so much slower than the best one before, are no chance.
_LOOKS = 4
_SLOWER = 1.25


class Steadiness:
    """Knows what default schedules took on each board."""

    def __init__(self) -> None:
        """Know nothing."""
        self._least_ms: dict[tuple[str, str], float] = {}
        self._last_ms: dict[tuple[str, str], float] = {}
        self._factors: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_LOOKS))

    def saw(self, board: str, task: str, default_ms: float) -> None:
        """A default was timed on a board; the same time again is the same look."""
        key = board, task
        if default_ms <= 0 or self._last_ms.get(key) == default_ms:
            return
        self._last_ms[key] = default_ms
        self._factors[board].append(default_ms / self._least_ms.get(key, default_ms))
        self._least_ms[key] = min(default_ms, self._least_ms.get(key, default_ms))

    def slowed(self, board: str) -> float | None:
        """How many times as long as at best it takes now; None where it is as fast as before."""
        factors = self._factors[board]
        if len(factors) < _LOOKS or min(factors) < _SLOWER:
            return None
        return min(factors)
