"""Programs of the `ziglang` package: a C compiler and a linker for every target, from one wheel."""

from __future__ import annotations

import functools
import subprocess
from importlib.resources import files
from pathlib import Path

from edgetvm.base.errors import CompileError, MissingToolError
from edgetvm.base.pins import installed_version


def run_zig(*arguments: str, folder: Path | None = None) -> None:
    """Run one of Zig's programs, such as `cc` or `ld.lld`.

    Zig keeps the C libraries that it builds, one for each target, in a cache of its own.

    Args:
        arguments: its name, and what it is given.
        folder: to run it in.

    Raises:
        CompileError: it failed; with the first line of what it said.
        MissingToolError: the ziglang package is not installed.
    """
    # Not by `python -m ziglang`: a Python that starts costs a candidate more than its link.
    done = subprocess.run(
        [zig_folder() / "zig", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise CompileError(f"{arguments[0]} failed: {reason}", mend="run: edgetvm doctor")


@functools.cache
def zig_folder() -> Path:
    """Where the ziglang package lies, with the sources and licences of the libraries it builds.

    Raises:
        MissingToolError: it is not installed.
    """
    if installed_version("ziglang") is None:
        raise MissingToolError("ziglang is not installed", mend="run: pip install ziglang")
    return Path(str(files("ziglang")))
