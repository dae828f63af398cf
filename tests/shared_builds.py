"""C code that is built once for a run of the tests, whatever cache a test has."""

from __future__ import annotations

from pathlib import Path

# Entries are named by the hash of all that they depend on. The locks keep two from one.
_KINDS = ("runtimes", "programs", "locks")


def share_built(cache: Path, shared: Path) -> None:
    """Have a new cache take what is built from another, and put it there.

    Args:
        cache, shared: as `$XDG_CACHE_HOME` names them.
    """
    (cache / "edgetvm").mkdir(parents=True)
    for kind in _KINDS:
        (shared / "edgetvm" / kind).mkdir(parents=True, exist_ok=True)
        (cache / "edgetvm" / kind).symlink_to(shared / "edgetvm" / kind)
