"""What boards say of themselves during a search, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping

from edgetvm.base.steps import warn
from edgetvm.tune.jobs import Ran
from edgetvm.tune.steadiness import Steadiness


class Looks:
    """At the boards of a search.

    Attributes:
        environments: the last that each board said of itself, and how much slower it has become.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self.environments: dict[str, Mapping[str, object]] = {}
        self._complained: set[tuple[str, str]] = set()
        self._steadiness = Steadiness()

    def saw(self, board: str, task: str, ran: Ran) -> None:
        """Keep what a board says of itself, and whether it has become slower."""
        self._steadiness.saw(board, task, ran.default_ms)
        if ran.environment:
            slowed = self._steadiness.slowed(board)
            self.environments[board] = {**ran.environment, "slowed": slowed}

    def lost(self, board: str, why: str) -> None:
        """Complain of a lost board, once for each reason."""
        if (board, why) not in self._complained:
            self._complained.add((board, why))
            warn(f"{board.partition('#')[0]} is lost, and is asked again now and then: {why}")
