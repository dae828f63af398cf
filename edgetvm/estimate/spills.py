"""Code that keeps its sums on the stack because its tile does not fit into registers.

A place on the stack that is stored as often as it is loaded holds a sum that moves in and out. One
that is loaded more often holds what was stored for good, as rows of a staged border, and costs no
more than any load.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

# Vectors that are stored beside the stack pointer, and loaded: name, and the distance in bytes.
_STORES = {
    "aarch64": re.compile(r"^(st[pu]?r?)\tq.*\[sp(?:, #(\d+))?\]$"),
    "x86_64": re.compile(r"^(vmov\S+)\s+%[xyz]mm\d+, (-?\d*)\(%rsp\)$"),
}
_LOADS = {
    "aarch64": re.compile(r"^(ld[pu]?r?)\tq.*\[sp(?:, #(\d+))?\]$"),
    "x86_64": re.compile(r"^(v\S+)\s+(-?\d*)\(%rsp\), %[xyz]mm"),
}
_PAIRS = ("stp", "ldp")
_VECTOR_BYTES = 16
# Loads of a sum, to its stores, in a window that cuts off some of them.
_AS_OFTEN = 1.25
# Of all instructions; a kernel's ends may keep some vectors, a loop that does is hot.
HOT_SHARE = 0.01


def spilled_share(windows: Sequence[Sequence[str]], architecture: str) -> float:
    """The share of executed instructions that store a sum on the stack."""
    total = sum(map(len, windows))
    return sum(_spills(window, architecture) for window in windows) / total if total else 0.0


def _spills(window: Sequence[str], architecture: str) -> int:
    stores = Counter(_places(window, _STORES[architecture]))
    loads = Counter(_places(window, _LOADS[architecture]))
    return sum(count for at, count in stores.items() if 0 < loads[at] <= _AS_OFTEN * count)


def _places(window: Sequence[str], pattern: re.Pattern[str]) -> Iterator[int]:
    """Distances from the stack pointer that are accessed."""
    for text in window:
        found = pattern.match(text)
        if found is not None:
            at = int(found[2] or 0)
            yield at
            if found[1] in _PAIRS:
                yield at + _VECTOR_BYTES
