"""Objects into a shared library, for any target, with the linker inside the ziglang package.

A kernel library needs no libc at link time: what it leaves undefined (libm, a few runtime
functions) is found in the process that loads it. So neither the host nor the board needs a
compiler, and a link takes a twentieth of a second.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetvm.base.errors import CompileError, MissingToolError
from edgetvm.base.files import storage_errors
from edgetvm.base.pins import installed_version


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what is linked.

    Raises:
        StorageError: files cannot be written there.
    """
    scratch = Path(tempfile.gettempdir())
    with storage_errors(scratch), tempfile.TemporaryDirectory(prefix="edgetvm-") as folder:
        yield Path(folder)


def linked(module: Any, folder: Path, objects: Sequence[Path] = ()) -> bytes:
    """A module of TVM as a shared library.

    Args:
        module: that `export_library` can be asked of.
        folder: for files of one's own; it is the caller's.
        objects: files to link with it.

    Raises:
        CompileError, MissingToolError: as `link_shared`.
    """
    path = folder / "model.so"
    addons = [str(one) for one in objects]
    module.export_library(str(path), fcompile=link_shared, addons=addons, workspace_dir=str(folder))
    return path.read_bytes()


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
