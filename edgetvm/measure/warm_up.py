"""Warm-up found from the data: runs are discarded until two blocks of them look alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgetvm.measure.samples import Chunk

_BLOCK_S = 0.05
_LEAST_BLOCK, _MOST_BLOCK = 3, 1 << 16
# Medians of neighbours agree that are closer than the first share; where times are spread, than
# half of their middle spread, but no further apart than the second share.
_ALIKE, _ALIKE_AT_MOST = 0.02, 0.1


@dataclass(frozen=True)
class WarmUp:
    """What came before the first sample.

    Attributes:
        count: of the runs that were discarded.
        settled: whether the last two blocks agreed; else the time for it was over.
    """

    count: int
    settled: bool


def warm_up(take: Callable[[int, float], Chunk], max_s: float) -> WarmUp:
    """Run until neither the level nor the trend of the times changes.

    Args:
        take: runs so many times, or for so many seconds; answers with the time of each run in
            nanoseconds.
        max_s: give up after so long.
    """
    first = take(1, max_s)
    spent_s, count = float(first.sum()) / 1e9, len(first)
    block = int(np.clip(_BLOCK_S * 1e9 / max(1, int(first[0])), _LEAST_BLOCK, _MOST_BLOCK))
    before: Chunk | None = None
    while spent_s < max_s:
        now = take(block, max_s - spent_s)
        spent_s, count = spent_s + float(now.sum()) / 1e9, count + len(now)
        if before is not None and alike(before, now):
            return WarmUp(count, True)
        before = now
    return WarmUp(count, False)


def alike(before: Chunk, now: Chunk) -> bool:
    """Whether a block's median is that of the block before, as near as its spread lets one tell."""
    low, median, high = np.percentile(now, (25, 50, 75))
    apart = abs(float(np.median(before)) - float(median))
    spread = float(high - low) / 2
    return apart <= max(_ALIKE * float(median), min(spread, _ALIKE_AT_MOST * float(median)))
