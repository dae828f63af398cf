"""A board's host key replaced, after it was installed anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgetvm.farm.inventory import Board
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.known_hosts import forget_keys, known_keys, note_key


@dataclass(frozen=True)
class HostKeys:
    """A board's host keys as `TYPE SHA256:…`.

    Attributes:
        known: that this machine's SSH knows of it.
        shown: that it shows now.
    """

    known: tuple[str, ...]
    shown: str

    @property
    def changed(self) -> bool:
        """Whether the one that it shows is not known."""
        return self.shown not in self.known


def rekey(board: Board, expected: str | None = None) -> HostKeys:
    """Look at a board's host key, and note it in the place of those that were known.

    Args:
        board: with SSH.
        expected: what it must show, as `TYPE SHA256:…`; nothing is noted without it.

    Raises:
        BoardError: it cannot be reached.
        ConfigurationError: the inventory does not say how SSH reaches it.
        StorageError: known_hosts cannot be written.
    """
    stop, key = Connection(board).shown_key()
    known = known_keys(stop)
    keys = HostKeys(tuple(_told(one) for one in known), _told(key))
    if keys.shown == expected and keys.changed:
        forget_keys(stop)
        note_key(stop, key)
    return keys


def _told(key: Any) -> str:
    return f"{key.get_name()} {key.fingerprint}"
