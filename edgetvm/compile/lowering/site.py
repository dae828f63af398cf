"""Where an operator is turned into loops: what each of ours is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgetvm.boards.profile import BoardProfile

Extents = tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """One call that is turned into loops.

    Attributes:
        builder: emits what comes before the call's own kernel.
        profile: of the board.
        winograd: largest edge of the output tiles of 3x3 convolutions; 0 for the direct form only.
    """

    builder: Any
    profile: BoardProfile
    winograd: int


def last_two(extents: Extents) -> tuple[int, int]:
    """Rows and columns of a tile's points."""
    whole = (1, 1, *extents)
    return whole[-2], whole[-1]
