"""Keys of emulated boards, kept in the cache.

A board's address comes back in the next run. So does its host key, or SSH would have to refuse it.
"""

from __future__ import annotations

from pathlib import Path

from edgetvm.base.cache import get_or_make
from edgetvm.farm.emulating.caller import hand_over
from edgetvm.farm.emulating.commands import ran

_USER = "user"


def lent_key(folder: Path) -> Path:
    """The private key that logs in to every emulated board, in a folder where its user reads it."""
    path = folder / "key"
    path.touch(mode=0o600)
    path.write_text(kept_key(_USER).read_text())
    hand_over(path)
    return path


def authorized_key() -> str:
    """The public part of the key that logs in."""
    return Path(f"{kept_key(_USER)}.pub").read_text()


def kept_key(name: str) -> Path:
    """The private key of that name, made once."""
    entry, _ = get_or_make("emulated-key", {"name": name}, lambda folder: new_key(folder / "key"))
    return entry / "key"


def new_key(path: Path) -> None:
    """Write a new pair of keys.

    Raises:
        BoardError, MissingToolError: ssh-keygen fails, or is not there.
    """
    ran("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path))
