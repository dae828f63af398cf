"""The one program that a board needs: the package runner, and a server for TVM's RPC.

    python -m edgetvm.farm.program aarch64 edgetvm-board

A static file for each architecture, in C over the minimal runtime. Its sources: `board_program`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.files import write_bytes
from edgetvm.package.crossbuild import ARCHITECTURES, build_program

PROGRAM_FILE = "edgetvm-board"
BOARD_SOURCES = Path(__file__).parent / "board_program"


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
    return build_program(PROGRAM_FILE, BOARD_SOURCES, architecture)


def main() -> None:
    """Write the program for an architecture to a file."""
    parser = argparse.ArgumentParser(
        prog="python -m edgetvm.farm.program", description="Write the program for a board."
    )
    parser.add_argument("architecture", choices=ARCHITECTURES, help="as `uname -m` prints it there")
    parser.add_argument("file", type=Path, help="to write")
    arguments = parser.parse_args()
    try:
        write_bytes(arguments.file, board_program(arguments.architecture).read_bytes())
    except EdgetvmError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from error
    arguments.file.chmod(0o755)


if __name__ == "__main__":
    main()
