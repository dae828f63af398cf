"""Keys of emulated boards, kept in the cache.

A board's address comes back in the next run. So does its host key, or SSH would have to refuse it.
"""

from __future__ import annotations

from pathlib import Path

from edgetvm.base.cache import get_or_make
from edgetvm.farm.emulating.commands import ran


def user_key() -> Path:
    """The private key that logs in to every emulated board; its public part is beside it."""
    return kept_key("user")


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
