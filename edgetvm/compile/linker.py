"""Objects into a shared library, for any target, with the linker inside the ziglang package.

A kernel library needs no libc at link time: what it leaves undefined (libm, a few runtime
functions) is found in the process that loads it. So neither the host nor the board needs a
compiler, and a link takes a twentieth of a second.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from edgetvm.base.errors import CompileError, MissingToolError
from edgetvm.base.pins import installed_version


def link_shared(output: str, objects: Sequence[str], **_: object) -> None:
    """Link, in the form that TVM's `export_library(fcompile=…)` calls.

    Raises:
        CompileError: the linker refused the objects.
        MissingToolError: the ziglang package is not installed.
    """
    if installed_version("ziglang") is None:
        raise MissingToolError("ziglang is not installed", mend="run: pip install ziglang")
    command = [sys.executable, "-m", "ziglang", "ld.lld", "-shared", "-s", "--build-id=none"]
    result = subprocess.run(
        [*command, "-o", output, *objects], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[0]
        raise CompileError(f"linking failed: {reason}", mend="run: edgetvm doctor")


link_shared.output_format = "so"  # type: ignore[attr-defined]
link_shared.object_format = "o"  # type: ignore[attr-defined]
