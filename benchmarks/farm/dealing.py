"""Faults dealt from a shuffled deck, as jobs are: a rare one is sure to come, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random


def dealt(often: Mapping[str, int], random: Random) -> Iterator[str]:
    """Names without end; in each round every name as often as is told."""
    deck = [name for name, count in often.items() for _ in range(count)]
    while True:
        yield from random.sample(deck, len(deck))
