"""Where an operator is turned into loops: what each of ours is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.schedules.decisions import Decisions

Extents = tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """One call that is turned into loops.

    Attributes:
        builder: emits what comes before the call's own kernel.
        profile: of the board.
        winograd: largest edge of the output tiles of 3x3 convolutions; 0 for the direct form only.
        decisions: on this operator.
    """

    builder: Any
    profile: BoardProfile
    winograd: int
    decisions: Decisions


def operator_key(call: Any) -> str:
    """What an operator computes: calls of one key are decided alike."""
    tensors = [str(one.ty) for one in (*call.args, call)]
    attrs = "" if call.attrs is None else str(call.attrs)
    return " ".join([call.op.name, *tensors, attrs])


def last_two(extents: Extents) -> tuple[int, int]:
    """Rows and columns of a tile's points."""
    whole = (1, 1, *extents)
    return whole[-2], whole[-1]
