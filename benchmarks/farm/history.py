"""What racing processes wrote down of who had which board, and whether two ever had one."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Held:
    """One lease as its holder knows it: from after it was granted to before it was given back.

    Times are of the kernel's clock since boot, in nanoseconds: the same for all processes.
    """

    board: str
    token: int
    who: str
    from_ns: int
    to_ns: int


def now_ns() -> int:
    """The clock of `Held`."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def write(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Keep what one process saw, a line for each."""
    path.write_text("".join(json.dumps(one) + "\n" for one in entries))


def read(paths: Iterable[Path]) -> list[Held]:
    """What all of them saw."""
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [Held(**json.loads(line)) for line in lines]


def double_leases(history: Sequence[Held]) -> list[tuple[Held, Held]]:
    """Pairs of one board's leases that overlap in time, or whose numbers run against it."""
    found = []
    by_board: dict[str, list[Held]] = {}
    for one in sorted(history, key=lambda held: held.from_ns):
        by_board.setdefault(one.board, []).append(one)
    for held in by_board.values():
        for earlier, later in itertools.pairwise(held):
            if later.from_ns < earlier.to_ns or later.token <= earlier.token:
                found.append((earlier, later))
    return found
