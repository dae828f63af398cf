"""Bytes of files, and of what of them is loaded."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgetvm.package.crossbuild import ARCHITECTURES, LIBCS, build_runtime

_LOAD, _EXECUTABLE = 1, 1


@dataclass(frozen=True)
class Size:
    """Of an ELF file.

    Attributes:
        file_bytes: as it lies on the disk.
        loaded_bytes: of its segments that are loaded: text and data, without padding.
        code_bytes: of those that may be executed.
    """

    name: str
    file_bytes: int
    loaded_bytes: int
    code_bytes: int


def size_of(name: str, data: bytes) -> Size:
    """The size of an ELF file, by its program headers (ELF specification, part 1)."""
    wide = data[4] == 2
    head = struct.unpack_from("<16xHHIQQQIHHH" if wide else "<16xHHIIIIIHHH", data)
    table_at, entry_bytes, count = head[4], head[8], head[9]
    loaded = code = 0
    for index in range(count):
        at = table_at + index * entry_bytes
        if wide:
            kind, flags, size_bytes = struct.unpack_from("<II24xQ", data, at)
        else:
            kind, size_bytes, flags = struct.unpack_from("<I12xI4xI", data, at)
        if kind == _LOAD:
            loaded += size_bytes
            code += size_bytes if flags & _EXECUTABLE else 0
    return Size(name, len(data), loaded, code)


def runtime_sizes() -> list[Size]:
    """Of the runtime for every platform."""
    found = []
    for architecture in ARCHITECTURES:
        for libc in LIBCS:
            folder = build_runtime(architecture, libc).folder
            for file in ("libedgetvm.so", "edgetvm-run"):
                name = f"{architecture} {libc} {file}"
                found.append(size_of(name, (folder / file).read_bytes()))
    return found


def wheel_sizes(folder: Path) -> list[Size]:
    """Of the largest library in each of a folder's wheels: what peers ship for aarch64."""
    found = []
    for path in sorted(folder.glob("*aarch64*.whl")):
        with zipfile.ZipFile(path) as wheel:
            libraries = [entry for entry in wheel.infolist() if ".so" in Path(entry.filename).name]
            if not libraries or path.name.startswith("numpy"):
                continue
            largest = max(libraries, key=lambda entry: entry.file_size)
            data = io.BytesIO(wheel.read(largest)).getvalue()
        found.append(size_of(f"{path.name.split('-')[0]} {Path(largest.filename).name}", data))
    return found
