"""What those need who build the C runtime into programs of their own, in one folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors
from edgetvm.base.paths import shipped_file
from edgetvm.package.crossbuild import (
    ARCHIVE_FILE,
    LIBRARY_FILE,
    RUNNER_FILE,
    RUNTIME_FOLDER,
    BuiltRuntime,
    runner_licences,
)

_BINDING = Path(__file__).parent / "binding" / "edgetvm_lite.py"


def write_kit(folder: Path, runtime: BuiltRuntime) -> list[str]:
    """Write libraries, headers, runner, Python binding, and files for CMake and pkg-config.

    The folder may be moved, or unpacked over `/usr/local` of a board.

    Returns:
        the files, from the folder on.

    Raises:
        UsageError: the folder holds something.
        StorageError: it cannot be written. Then nothing of it is left.
    """
    with storage_errors(folder):
        if folder.exists() and any(folder.iterdir()):
            raise UsageError("the folder is not empty", where=str(folder), mend="choose another")
        parent = folder.absolute().parent
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=parent) as scratch:
            aside = Path(scratch, "kit")
            _fill(aside, runtime)
            aside.replace(folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _fill(folder: Path, runtime: BuiltRuntime) -> None:
    for source, name in _files(runtime.folder):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    (folder / "bin" / RUNNER_FILE).chmod(0o755)
    (folder / "lib" / LIBRARY_FILE).symlink_to(f"{LIBRARY_FILE}.1")
    licences = folder / "share/edgetvm/licences"
    licences.mkdir(parents=True)
    for part, text in (("edgetvm", shipped_file("LICENSE").read_bytes()), *_borrowed(runtime)):
        (licences / f"{part}.txt").write_bytes(text)


def _files(built: Path) -> Iterator[tuple[Path, str]]:
    """What is copied, and where to."""
    yield built / RUNNER_FILE, f"bin/{RUNNER_FILE}"
    yield built / LIBRARY_FILE, f"lib/{LIBRARY_FILE}.1"
    yield built / ARCHIVE_FILE, f"lib/{ARCHIVE_FILE}"
    yield RUNTIME_FOLDER / "edgetvm.pc", "lib/pkgconfig/edgetvm.pc"
    yield _BINDING, f"share/edgetvm/python/{_BINDING.name}"
    for path in sorted((RUNTIME_FOLDER / "cmake").iterdir()):
        yield path, f"lib/cmake/edgetvm/{path.name}"
    for path in sorted((RUNTIME_FOLDER / "include").iterdir()):
        yield path, f"include/{path.name}"
    for path in sorted((RUNTIME_FOLDER / "example").glob("*")):
        yield path, f"share/edgetvm/example/{path.name}"


def _borrowed(runtime: BuiltRuntime) -> list[tuple[str, bytes]]:
    """Licences of what is linked into the runner: of a static one alone."""
    return list(runner_licences().items()) if runtime.libc == "musl" else []
