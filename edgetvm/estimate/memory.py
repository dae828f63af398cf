"""What waiting for memory adds to what a core computes.

A core that issues in order waits for every line. One that does not goes on computing while a stream
comes: the longer of the two counts, and where they are near each other a little more.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.boards.core import CoreModel, MissCost
from edgetvm.estimate.trace import Misses

# Of 1 it would be the sum, of infinity the longer one.
_EXPONENT = 4.0


def cycles_with_memory(core_cycles: float, misses: Sequence[Misses], core: CoreModel) -> float:
    """All cycles of a call.

    Args:
        core_cycles: that the core computes.
        misses: by the level that had the line, level 2 first.
        core: with costs of as many levels, or more.
    """
    random, streams = waits(misses, core.misses)
    if not core.out_of_order:
        return core_cycles + random + streams
    exponent = _EXPONENT
    return float(((core_cycles + random) ** exponent + streams**exponent) ** (1 / exponent))


def waits(misses: Sequence[Misses], costs: Sequence[MissCost]) -> tuple[float, float]:
    """Cycles for lines that nothing announced, and for lines of streams."""
    pairs = list(zip(misses, costs, strict=False))
    return (
        sum(cost.random * (one.loads + one.stores) for one, cost in pairs),
        sum(cost.foreseen * (one.foreseen_loads + one.foreseen_stores) for one, cost in pairs),
    )
