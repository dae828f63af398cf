"""Programs that the benchmark needs, and those that it compiles itself with zig."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgetvm.measure.peers.case import Unavailable

HERE = Path(__file__).parent
# Names under which a distribution may have installed them, the best first.
_PROGRAMS = {
    "qemu-aarch64": ("qemu-aarch64",),
    "qemu-arm": ("qemu-arm",),
    "llvm-mca": ("llvm-mca-22", "llvm-mca"),
    "llvm-mc": ("llvm-mc-22", "llvm-mc"),
}
NEEDED = (
    "this benchmark needs QEMU's user emulators, dynamically linked, and LLVM 22's llvm-mca: "
    "apt-get install qemu-user llvm-22"
)


def program(name: str) -> str:
    """Where a program is.

    Raises:
        Unavailable: it is not installed; says how to.
    """
    for word in _PROGRAMS[name]:
        found = shutil.which(word)
        if found:
            return found
    raise Unavailable(f"{name} is not installed: {NEEDED}")


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


def plugin(folder: Path) -> Path:
    """The counting plugin, for this machine's QEMU."""
    return compiled(HERE / "counter.c", folder, ["-shared", "-fPIC"])
