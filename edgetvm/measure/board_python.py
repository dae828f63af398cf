"""The Python of a board, and Python packages for it: this machine fetches them, the board has no
need of the internet, of pip or of a compiler."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgetvm.base.cache import get_or_make
from edgetvm.base.errors import BoardError, MissingToolError
from edgetvm.base.steps import step
from edgetvm.farm.ssh import Connection

# What it is called on boards.
PROGRAM = "python3"
LEAST_VERSION = (3, 11)
_DEADLINE_S = 60.0
_PIP_TIMEOUT_S = 900.0
# A Python of 32 bits may run on a kernel of 64.
_ASK = """
import json, os, platform, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (OSError, ValueError):
    libc = None
machine = platform.machine()
if sys.maxsize < 1 << 32:
    machine = {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine)
print(json.dumps([sys.version_info[:2], machine, libc or ""]))
"""
# Wheels of an older glibc run on a newer one; 2.5 is that of manylinux1.
_OLDEST_GLIBC = 5
_MUSL_MINORS = (2, 1)


@dataclass(frozen=True)
class BoardPython:
    """A Python 3 on a board.

    Attributes:
        version: major and minor.
        machine: that it is built for, as `uname -m` names it.
        libc: `glibc 2.36`; empty where it is musl.
    """

    version: tuple[int, int]
    machine: str
    libc: str

    def __str__(self) -> str:
        major, minor = self.version
        return f"Python {major}.{minor}, {self.machine}, {self.libc or 'musl'}"

    @property
    def platforms(self) -> list[str]:
        """The tags of wheels that run there, newest first: PEP 600 and PEP 656."""
        found = re.fullmatch(r"glibc 2\.(\d+)", self.libc)
        if found is None:
            return [f"musllinux_1_{minor}_{self.machine}" for minor in _MUSL_MINORS]
        minors = range(int(found[1]), _OLDEST_GLIBC - 1, -1)
        old = ("manylinux2014", "manylinux2010", "manylinux1")
        tags = [f"manylinux_2_{minor}" for minor in minors] + list(old) + ["linux"]
        return [f"{tag}_{self.machine}" for tag in tags]


def python_of(connection: Connection) -> BoardPython:
    """Ask a board for its Python.

    Raises:
        BoardError: it has none, or one that is too old; or see `Connection`.
    """
    where = f"board {connection.board.name}"
    wanted = ".".join(map(str, LEAST_VERSION))
    answer = connection.run(f"exec {PROGRAM} -", deadline_s=_DEADLINE_S, stdin=_ASK.encode())
    mend = f"install Python {wanted} or newer there, or leave --peer out"
    try:
        version, machine, libc = json.loads(answer.out)
    except ValueError:
        raise BoardError(
            f"peers are Python packages, and no {PROGRAM} runs there: {answer.last_words}",
            where=where,
            mend=mend,
        ) from None
    found = BoardPython(tuple(version), str(machine), str(libc))
    if found.version < LEAST_VERSION:
        raise BoardError(f"peers need Python {wanted}: it has {found}", where=where, mend=mend)
    return found


def packages_for(python: BoardPython, requirement: str) -> Path:
    """A folder with a Python package and all that it needs, for a board's Python.

    Args:
        requirement: `onnxruntime==1.31.1`.

    Returns:
        the folder, from the cache if it was fetched before.

    Raises:
        MissingToolError: there is no such wheel, no pip here, or no network.
    """
    if find_spec("pip") is None:
        raise MissingToolError(
            "pip is missing on this machine, which fetches wheels for the board",
            mend="run: python -m ensurepip",
        )
    version = ".".join(map(str, python.version))
    depends_on: dict[str, Any] = {
        "requirement": requirement,
        "python": version,
        "platforms": python.platforms,
    }

    def make(folder: Path) -> None:
        with step(f"fetch {requirement} for {python}"):
            _install(folder, requirement, version, python)

    return get_or_make("wheels", depends_on, make)[0]


def _install(folder: Path, requirement: str, version: str, python: BoardPython) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(folder), "--only-binary=:all:", "--no-compile"]
    command += ["--python-version", version, "--implementation", "cp"]
    command += [word for tag in python.platforms for word in ("--platform", tag)]
    try:
        done = subprocess.run(
            [*command, requirement],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PIP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(
            f"{requirement} was not fetched in {_PIP_TIMEOUT_S:g} s", mend="is there a network?"
        ) from error
    if done.returncode == 0:
        return
    if "No matching distribution" in done.stderr:
        raise MissingToolError(f"there is no wheel of {requirement} for {python}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [""]
    raise MissingToolError(
        f"pip cannot fetch {requirement}: {lines[-1].removeprefix('ERROR:').strip()}",
        mend="is there a network?",
    )
