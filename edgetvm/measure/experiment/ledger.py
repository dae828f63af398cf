"""What came of an experiment's parts, noted the moment that it is known, beside the measurements.

An entry is on the disk before the next part begins: who was killed goes on there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from edgetvm.measure.store import Store
from edgetvm.measure.store_tables import EXPERIMENTS, store_errors

Part = Literal["asked", "built", "measured", "round", "estimated", "scored", "lost", "failed"]


@dataclass(frozen=True)
class Entry:
    """A part that is done.

    Attributes:
        session: the run of the experiment that did it.
        turn: of a round; else 0.
        document: what came of it.
    """

    part: Part
    session: str
    turn: int
    document: dict[str, Any]


class Ledger:
    """The entries of a store. Every method raises StorageError where it cannot be used."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def note(
        self, key: str, part: Part, session: str, document: dict[str, Any], turn: int = 0
    ) -> None:
        """Keep an entry: on the disk when this returns, or not at all.

        Args:
            key: of what it is about: a hash of all that shapes it.
        """
        row = {"key": key, "part": part, "session": session, "turn": turn}
        row["document"] = json.dumps(document)
        with store_errors(self.store.engine), self.store.engine.begin() as connection:
            connection.execute(EXPERIMENTS.insert(), row)

    def entries(self, key: str, *parts: Part) -> list[Entry]:
        """All of a key, or those of some parts, oldest first."""
        c = EXPERIMENTS.c
        asked = select(c.part, c.session, c.turn, c.document).where(c.key == key).order_by(c.number)
        with store_errors(self.store.engine), self.store.engine.connect() as connection:
            rows = connection.execute(asked).all()
        found = [Entry(part, of, turn, json.loads(text)) for part, of, turn, text in rows]
        return [one for one in found if not parts or one.part in parts]

    def last(self, key: str, part: Part) -> dict[str, Any] | None:
        """The newest document of a part; None where there is none."""
        found = self.entries(key, part)
        return found[-1].document if found else None


def rounds_in(entries: Sequence[Entry]) -> int:
    """How many turns were taken, of all sessions."""
    return sum(one.part == "round" for one in entries)
