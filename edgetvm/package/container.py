"""The ZIP archive of a package: written the same each time, and read in one form only.

ZIP says most things twice, and readers differ in which of the two they believe. Here both must say
the same, and members lie one after the other: a file has one meaning, in Python and in C.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgetvm.base.errors import PackageError
from edgetvm.package.manifest import (
    MANIFEST_NAME,
    MAX_DIRECTORY_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_MEMBERS,
    MAX_SIGNATURE_BYTES,
    MAX_TOTAL_BYTES,
    SIGNATURE_NAME,
    library_member,
    runner_member,
)

# ZIP's own epoch: a package's bytes do not depend on when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Libraries begin where a page of memory may begin, so that a reader can map them from the file.
ALIGNMENT_BYTES = 4096
# The extra field of Android's zipalign: identifier, size of what follows, alignment, zeros.
_PADDING = struct.Struct("<HHH")
_PADDING_ID = 0xD935

# APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16. What is skipped (`x`) has no meaning in a package: versions,
# dates and attributes.
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
_CENTRAL = struct.Struct("<4s4xHH4xIIIHHHH2x4xI")
_END = struct.Struct("<4sHHHHIIH")
_PLAIN_FLAGS = (0, 0x800)  # none, or that names are UTF-8

_CUT_OFF = "not an .edgetvm package, or cut off"
_LIMITS_BYTES = {MANIFEST_NAME: MAX_MANIFEST_BYTES, SIGNATURE_NAME: MAX_SIGNATURE_BYTES}


@dataclass(frozen=True)
class _Entry:
    """A member as the directory tells it; `at` counts from the package's begin."""

    name: bytes
    flags: int
    method: int
    crc32: int
    stored_bytes: int
    size_bytes: int
    at: int


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """An archive of `parts`, in their order.

    Raises:
        PackageError: more than a package may hold.
    """
    if len(parts) > MAX_MEMBERS or sum(map(len, parts.values())) >= MAX_TOTAL_BYTES:
        raise PackageError("it is more than a package may hold", mend="package fewer targets")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            runs = name.endswith(runner_member(""))
            entry.external_attr = (0o755 if runs else 0o644) << 16
            if name.endswith(library_member("")):
                entry.extra = _padding(buffer.tell() + _LOCAL.size + len(name))
            archive.writestr(entry, data)
            entry.extra = b""  # in the member's own header alone, as zipalign has it
    return buffer.getvalue()


def _padding(at: int) -> bytes:
    """An extra field at `at` that ends where a library may begin."""
    zeros = -(at + _PADDING.size) % ALIGNMENT_BYTES
    return _PADDING.pack(_PADDING_ID, 2 + zeros, ALIGNMENT_BYTES) + bytes(zeros)


def unzipped(data: bytes, where: str) -> tuple[int, dict[str, bytes]]:
    """The archive at the end of `data`: where it begins, and its members in their order.

    Raises:
        PackageError: no archive, cut off, over the limits of `edgetvm.package.manifest`, or not in
            the one form that packages have.
    """
    try:
        begin, directory, count = _end(data)
        entries = list(_entries(data, begin + directory, count))
        _check(entries, len(data) - _END.size - begin - directory, where)
        members: dict[str, bytes] = {}
        at = begin
        for entry in entries:
            name = entry.name.decode()
            if name in members:
                raise _refusal(f"{name} stands twice", where)
            at, members[name] = _content(data, begin, at, entry)
    except (struct.error, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise PackageError(_CUT_OFF, where=where, mend="copy it again") from error
    if at != begin + directory or zlib.crc32(members[MANIFEST_NAME]) != entries[0].crc32:
        raise PackageError(_CUT_OFF, where=where, mend="copy it again")
    return begin, members


def _end(data: bytes) -> tuple[int, int, int]:
    """Where the archive begins, where from there its directory is, and how many members it has."""
    if len(data) < _END.size:
        raise zipfile.BadZipFile
    end = len(data) - _END.size
    magic, *disks, on_disk, count, size_bytes, directory, comment = _END.unpack_from(data, end)
    begin = end - size_bytes - directory
    if magic != b"PK\5\6" or disks != [0, 0] or on_disk != count or comment or begin < 0:
        raise zipfile.BadZipFile
    return begin, directory, count


def _entries(data: bytes, at: int, count: int) -> Iterator[_Entry]:
    """The directory's entries; it must fill the space up to the end record."""
    for _ in range(count):
        magic, flags, method, crc32, stored_bytes, size_bytes, *lengths, disk, offset = (
            _CENTRAL.unpack_from(data, at)
        )
        if magic != b"PK\1\2" or disk:
            raise zipfile.BadZipFile
        begin = at + _CENTRAL.size
        name = data[begin : begin + lengths[0]]
        yield _Entry(name, flags, method, crc32, stored_bytes, size_bytes, offset)
        at = begin + sum(lengths)
    if at != len(data) - _END.size:
        raise zipfile.BadZipFile


def _check(entries: list[_Entry], directory_bytes: int, where: str) -> None:
    if not entries or entries[0].name != MANIFEST_NAME.encode():
        raise _refusal("it does not begin with a manifest", where)
    total_bytes = sum(entry.size_bytes for entry in entries)
    too_many = len(entries) > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES
    if too_many or total_bytes >= MAX_TOTAL_BYTES:
        raise _refusal("it claims more than a package may hold", where)
    for entry in entries:
        name = entry.name.decode()
        if entry.size_bytes > _LIMITS_BYTES.get(name, MAX_TOTAL_BYTES):
            raise _refusal(f"its {name} is too large", where)
        plain = entry.method == 0 and entry.stored_bytes == entry.size_bytes
        if not plain or entry.flags not in _PLAIN_FLAGS:
            raise _refusal(f"{name} is not plain", where)


def _content(data: bytes, begin: int, at: int, entry: _Entry) -> tuple[int, bytes]:
    """Where a member ends that must begin at `at`, and what it holds."""
    magic, flags, method, crc32, stored_bytes, size_bytes, name_bytes, extra_bytes = (
        _LOCAL.unpack_from(data, at)
    )
    name_at = at + _LOCAL.size
    name = data[name_at : name_at + name_bytes]
    told = _Entry(name, flags, method, crc32, stored_bytes, size_bytes, at - begin)
    content_at = name_at + name_bytes + extra_bytes
    end = content_at + entry.size_bytes
    if magic != b"PK\3\4" or told != entry or end > len(data):
        raise zipfile.BadZipFile
    return end, data[content_at:end]


def _refusal(what: str, where: str) -> PackageError:
    return PackageError(what, where=where, mend="package the model again with edgetvm")
