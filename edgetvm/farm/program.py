"""The one program that a board needs: the package runner, and a server for TVM's RPC.

A static file for each architecture, in C over the minimal runtime. Its sources: `board_program`.
"""

from __future__ import annotations

from pathlib import Path

from edgetvm.package.crossbuild import build_program

PROGRAM_FILE = "edgetvm-board"
_SOURCES = Path(__file__).parent / "board_program"


def board_program(architecture: str) -> Path:
    """The program's file for boards of an architecture, built or taken from the cache.

    Args:
        architecture: as `uname -m` prints it, and profiles tell it.

    Raises:
        NotFoundError: there is none for that architecture.
        CompileError: it cannot be built.
        MissingToolError: the ziglang package is not installed.
        StorageError: the cache folder cannot be written.
    """
    return build_program(PROGRAM_FILE, _SOURCES, architecture)
