"""Code that keeps vectors on the stack because its tile does not fit into registers."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A vector stored beside the stack pointer, or loaded from there.
_SPILL = {
    "aarch64": re.compile(r"^(?:str\tq|stp\tq|stur\tq).*\[sp\b"),
    "armv7l": re.compile(r"^(?:vst1|vstmia|vstr)\S*\s.*\[?\bsp\b"),
    "x86_64": re.compile(r"^vmov\S+\s+%[xyz]mm\d+, \S*\(%rsp"),
}
# A kernel's ends may keep some; a loop that does is hot.
HOT_SHARE = 0.01


def spilled_share(windows: Sequence[Sequence[str]], architecture: str) -> float:
    """The share of executed instructions that store a vector on the stack."""
    pattern = _SPILL[architecture]
    total = sum(map(len, windows))
    spills = sum(1 for window in windows for text in window if pattern.match(text))
    return spills / total if total else 0.0
