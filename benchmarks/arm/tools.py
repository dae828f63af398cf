"""Programs that the benchmark needs, and those that it compiles itself with zig."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgetvm.measure.peers.case import Unavailable

HERE = Path(__file__).parent


def compiled(source: Path, folder: Path, flags: Sequence[str], language: str = "cc") -> Path:
    """What zig makes of a source; made once for each content and flags.

    Raises:
        Unavailable: zig refuses it, or is not installed.
    """
    words = [language, "-O2", "-Wall", "-Wextra", *flags]
    digest = hashlib.sha256(source.read_bytes() + repr(words).encode()).hexdigest()[:12]
    made = folder / "built" / f"{source.stem}-{digest}"
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    aside = made.with_suffix(".new")
    first, rest = words[0], words[1:]
    command = [*zig(), first, str(source), "-o", str(aside), *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"zig cannot compile {source.name}: {done.stderr.strip()[-300:]}")
    aside.replace(made)
    return made


def zig() -> list[str]:
    """The command that runs zig."""
    return [sys.executable, "-m", "ziglang"]
