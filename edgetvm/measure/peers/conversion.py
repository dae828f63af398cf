"""Files that engines convert models to: made once a case, whoever asks first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgetvm.measure.peers.case import Case


def converted(case: Case, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled, beside the case's file."""
    made = case.file.parent / name
    # On a board it was brought, and nothing is there to make it with.
    if made.is_dir():
        return made
    from filelock import FileLock

    with FileLock(case.file.parent / f"{name}.lock"):
        if not made.is_dir():
            with tempfile.TemporaryDirectory(dir=case.file.parent) as scratch:
                aside = Path(scratch, "made")
                aside.mkdir()
                make(aside)
                shutil.move(aside, made)
    return made
