"""A content-addressed cache: an entry's name is the hash of all that its content depends on.

Two processes may use it at once: an entry is built in a folder aside, under a lock of its own,
and renamed when it is whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.files import sha256_of, storage_errors
from edgetvm.base.paths import cache_folder

_LOCKS = "locks"


@dataclass(frozen=True)
class CacheEntry:
    """One folder of the cache.

    Attributes:
        kind: what sort of thing it holds (`wheels`, `packages`).
        key: the first 32 hexadecimal digits of the SHA-256 of what it depends on.
        size_bytes: of all its files.
        description: what it was made from, as JSON text.
    """

    kind: str
    key: str
    path: Path
    size_bytes: int
    description: str


def get_or_make(
    kind: str, depends_on: Mapping[str, object], make: Callable[[Path], None]
) -> tuple[Path, bool]:
    """The folder for `depends_on`, made by `make(folder)` where the cache has none yet.

    Returns:
        the folder, and whether it was there already.

    Raises:
        StorageError: the cache folder cannot be written.
        whatever `make` raises; then nothing is kept.
    """
    from filelock import FileLock

    description = json.dumps(depends_on, sort_keys=True)
    key = sha256_of(description.encode())[:32]
    root = cache_folder()
    entry = root / kind / key
    if entry.is_dir():
        return entry, True
    with storage_errors(root):
        entry.parent.mkdir(parents=True, exist_ok=True)
        (root / _LOCKS).mkdir(exist_ok=True)
        lock = FileLock(root / _LOCKS / f"{kind}-{key}").acquire()
    with lock:
        if entry.is_dir():
            return entry, True
        with storage_errors(entry):
            for stale in entry.parent.glob(f".{key}.*"):  # of a maker that was killed
                shutil.rmtree(stale)
            aside = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=entry.parent))
        try:
            make(aside)
            with storage_errors(entry):
                (aside / ".depends-on.json").write_text(description)
                aside.rename(entry)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return entry, False


def entries() -> list[CacheEntry]:
    """Everything the cache holds, by kind and key."""
    found = []
    for folder in sorted(cache_folder().glob("*/*/")):
        if folder.name.startswith(".") or folder.parent.name == _LOCKS:
            continue
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        origin = folder / ".depends-on.json"
        description = origin.read_text() if origin.is_file() else ""
        found.append(CacheEntry(folder.parent.name, folder.name, folder, size_bytes, description))
    return found


def clear(kind: str | None = None) -> int:
    """Remove every entry, or those of one kind. Answers with how many bytes were freed.

    Raises:
        UsageError: the cache holds nothing of that kind.
        StorageError: an entry cannot be removed.
    """
    present = entries()
    chosen = [entry for entry in present if kind in (None, entry.kind)]
    if kind is not None and not chosen:
        kinds = ", ".join(sorted({entry.kind for entry in present})) or "nothing"
        raise UsageError(f"the cache holds no {kind}", mend=f"it holds {kinds}")
    for entry in chosen:
        with storage_errors(entry.path):
            # Renamed first, so that a reader never meets a half-removed entry.
            doomed = Path(tempfile.mkdtemp(prefix=".removed.", dir=entry.path.parent))
            entry.path.rename(doomed / entry.key)
            shutil.rmtree(doomed)
    return sum(entry.size_bytes for entry in chosen)
