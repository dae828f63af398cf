"""What is tried, one after the other, to get a board back. The rungs are data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgetvm.farm.keeping.ways import Way


@dataclass(frozen=True)
class Rung:
    """One means.

    Attributes:
        title: in logs and on the page.
        deed: what is done; a proof of the board's health follows it each time.
        deadline_s: of the deed.
        tries: how often.
        pause_s: before it is tried again; twice as long each time.
    """

    title: str
    deed: Callable[[Way, float], None]
    deadline_s: float
    tries: int
    pause_s: float


def _nothing(_way: Way, _deadline_s: float) -> None:
    """A new server comes with every proof."""


# The methods are looked up when they are called: each kind of board has its own.
LADDER = (
    Rung("reconnect", lambda way, deadline_s: way.reconnect(deadline_s), 30, 2, 1),
    Rung("restart the server", _nothing, 30, 2, 2),
    Rung("end stray processes", lambda way, deadline_s: way.end_strays(deadline_s), 30, 1, 2),
    Rung("reboot", lambda way, deadline_s: way.reboot(deadline_s), 180, 1, 5),
    Rung("switch off and on", lambda way, deadline_s: way.power_cycle(deadline_s), 240, 2, 10),
)
# A board that is bad is tried again after so long, without what takes it from under others.
BAD_PAUSE_S = 120.0
GENTLE = LADDER[:3]
