"""Objects into a shared library, for any target, with the linker inside the ziglang package.

A kernel library needs no libc at link time: what it leaves undefined (libm, a few runtime
functions) is found in the process that loads it. So neither the host nor the board needs a
compiler, and a link takes a twentieth of a second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgetvm.base.files import storage_errors
from edgetvm.base.zig import run_zig


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


def link_shared(output: str, objects: Sequence[str], *more: str, **_: object) -> None:
    """Link, in the form that TVM's `export_library(fcompile=…)` calls.

    Args:
        output: path of the library.
        objects: paths of what is linked.
        more: of the linker's options.

    Raises:
        CompileError: the linker refused the objects.
        MissingToolError: the ziglang package is not installed.
    """
    run_zig("ld.lld", "-shared", "-s", "--build-id=none", *more, "-o", output, *objects)


link_shared.output_format = "so"  # type: ignore[attr-defined]
link_shared.object_format = "o"  # type: ignore[attr-defined]
