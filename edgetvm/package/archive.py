"""Writing and reading `.edgetvm` files: plain ZIP, members stored, the manifest first.

The same content gives the same bytes. A package is untrusted until every member's size and
SHA-256 agree with the manifest; members are read into memory and never unpacked by name.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError, UsageError
from edgetvm.base.files import sha256_of, storage_errors
from edgetvm.models.model import TensorSpec
from edgetvm.package.arrays import from_bytes
from edgetvm.package.manifest import (
    LABELS_NAME,
    LICENCE_FOLDER,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MAX_MEMBERS,
    MAX_SIGNATURE_BYTES,
    MAX_TOTAL_BYTES,
    SIGNATURE_NAME,
    Manifest,
    Member,
    library_member,
    manifest_from_json,
    manifest_to_json,
    runner_member,
    sample_member,
)

# ZIP's own epoch: a package's bytes do not depend on when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Libraries begin where a page of memory may begin, so that a reader can map them from the file.
ALIGNMENT_BYTES = 4096
_LOCAL_HEADER_BYTES = 30
# The extra field of Android's zipalign: identifier, size of what follows, alignment, zeros.
_PADDING = struct.Struct("<HHH")
_PADDING_ID = 0xD935


@dataclass(frozen=True)
class Package:
    """A verified package.

    Attributes:
        manifest: see `Manifest`.
        members: bytes by name, each equal to what the manifest says.
        data: the file's bytes.
        begin: where in `data` the package begins: after the program, in a single executable.
        manifest_json: the manifest's own bytes, which a signature is of.
        signature_json: the signature; None where there is none.
    """

    manifest: Manifest
    members: Mapping[str, bytes]
    data: bytes
    begin: int
    manifest_json: bytes
    signature_json: bytes | None

    @property
    def sha256(self) -> str:
        """Of the file."""
        return sha256_of(self.data)

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return len(self.data)

    @property
    def sample_inputs(self) -> dict[str, NDArray[np.generic]]:
        """The inputs that the package tests itself with."""
        return self._arrays("input", self.manifest.signature.inputs)

    @property
    def sample_outputs(self) -> dict[str, NDArray[np.generic]]:
        """What the reference runtime answers to `sample_inputs`."""
        return self._arrays("output", self.manifest.signature.outputs)

    def _arrays(
        self, kind: Literal["input", "output"], specs: tuple[TensorSpec, ...]
    ) -> dict[str, NDArray[np.generic]]:
        return {
            spec.name: from_bytes(self.members[sample_member(kind, index)], spec.dtype, spec.shape)
            for index, spec in enumerate(specs)
        }


def packed(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """The bytes of a package file.

    Args:
        manifest: its `members` are filled in.
        files: content of all of `manifest.member_names`.

    Raises:
        PackageError: more than a package may hold.
    """
    ordered = {name: files[name] for name in manifest.member_names}
    members = tuple(Member(name, sha256_of(data), len(data)) for name, data in ordered.items())
    return zipped(manifest_to_json(replace(manifest, members=members)), ordered)


def zipped(
    manifest_json: bytes, members: Mapping[str, bytes], signature_json: bytes | None = None
) -> bytes:
    """The bytes of a package file of which all parts are ready.

    Raises:
        PackageError: more than a package may hold.
    """
    parts = {MANIFEST_NAME: manifest_json, **members}
    if signature_json is not None:
        parts[SIGNATURE_NAME] = signature_json
    if len(parts) > MAX_MEMBERS or sum(map(len, parts.values())) >= MAX_TOTAL_BYTES:
        raise PackageError("it is more than a package may hold", mend="package fewer targets")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            runs = name.endswith(runner_member(""))
            entry.external_attr = (0o755 if runs else 0o644) << 16
            if name.endswith(library_member("")):
                entry.extra = _padding(buffer.tell() + _LOCAL_HEADER_BYTES + len(name))
            archive.writestr(entry, data)
            entry.extra = b""  # in the member's own header alone, as zipalign has it
    return buffer.getvalue()


def _padding(at: int) -> bytes:
    """An extra field at `at` that ends where a library may begin."""
    zeros = -(at + _PADDING.size) % ALIGNMENT_BYTES
    return _PADDING.pack(_PADDING_ID, 2 + zeros, ALIGNMENT_BYTES) + bytes(zeros)


def read_package(path: Path) -> Package:
    """Read and verify a package file.

    Raises:
        PackageError: see `verify_package`.
        StorageError: the file cannot be read.
    """
    with storage_errors(path):
        data = path.read_bytes()
    return verify_package(data, str(path))


def verify_package(data: bytes, where: str) -> Package:
    """Verify the bytes of a package file that is not trusted.

    Anything may stand before the package, as the program does in a single executable.

    Raises:
        PackageError: not a package, cut off, altered, of a newer format, or over the limits of
            `edgetvm.package.manifest`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, where)
            signature = entries.pop() if entries[-1].filename == SIGNATURE_NAME else None
            manifest_json = archive.read(entries[0])
            manifest = manifest_from_json(manifest_json, where)
            _check_names(manifest, entries, where)
            members = {entry.filename: archive.read(entry) for entry in entries[1:]}
            signature_json = archive.read(signature) if signature else None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, PackageError):
            raise
        raise PackageError(
            "not an .edgetvm package, or cut off", where=where, mend="copy it again"
        ) from error
    for member in manifest.members:
        data_of = members[member.name]
        if len(data_of) != member.size_bytes or sha256_of(data_of) != member.sha256:
            raise PackageError(
                f"{member.name} was altered", where=where, mend="copy it again, or package anew"
            )
    begin = entries[0].header_offset
    package = Package(manifest, members, data, begin, manifest_json, signature_json)
    _check_content(package, where)
    return package


def _check_entries(entries: list[zipfile.ZipInfo], where: str) -> None:
    mend = "package the model again with edgetvm"
    if not entries or entries[0].filename != MANIFEST_NAME:
        raise PackageError("it does not begin with a manifest", where=where, mend=mend)
    if len(entries) > MAX_MEMBERS or sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise PackageError("it claims more than a package may hold", where=where, mend=mend)
    if entries[0].file_size > MAX_MANIFEST_BYTES:
        raise PackageError("its manifest is too large", where=where, mend=mend)
    if entries[-1].filename == SIGNATURE_NAME and entries[-1].file_size > MAX_SIGNATURE_BYTES:
        raise PackageError("its signature is too large", where=where, mend=mend)
    for entry in entries:
        stored = (
            entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        )
        if not stored or entry.flag_bits & 0x1:
            raise PackageError(f"{entry.filename} is not plain", where=where, mend=mend)


def _check_names(manifest: Manifest, entries: list[zipfile.ZipInfo], where: str) -> None:
    present = [entry.filename for entry in entries[1:]]
    promised = [member.name for member in manifest.members]
    if present != promised or len({MANIFEST_NAME, *promised}) != len(entries):
        strange = sorted(set(present) ^ set(promised)) or ["a member stands twice or out of order"]
        raise PackageError(
            f"its members are not those of its manifest: {strange[0]}",
            where=where,
            mend="copy it again, or package anew",
        )


def _check_content(package: Package, where: str) -> None:
    manifest, mend = package.manifest, "package it anew"
    if not manifest.targets:
        raise PackageError("it holds no compiled model", where=where, mend=mend)
    _check_member_names(manifest, where)
    if list(package.members) != manifest.member_names:
        raise PackageError(
            "its members are not those of its targets and signature", where=where, mend=mend
        )
    signature = manifest.signature
    try:
        signature.with_states({state.input: state.output for state in signature.states})
    except UsageError as error:
        raise PackageError(error.what, where=where, mend=mend) from error
    _check_samples(package, "input", signature.inputs, where)
    _check_samples(package, "output", signature.outputs, where)


def _check_member_names(manifest: Manifest, where: str) -> None:
    """Members are called as their part says, so that no reader needs to look for them."""
    strange = [
        name
        for target in manifest.targets
        for name, wanted in (
            (target.library, library_member(target.profile)),
            (target.runtime or "", runner_member(target.profile)),
        )
        if name not in ("", wanted)
    ]
    strange += [name for name in (manifest.labels,) if name not in (None, LABELS_NAME)]
    texts = [licence.member for licence in manifest.licences if licence.member is not None]
    strange += [name for name in texts if not name.startswith(LICENCE_FOLDER)]
    if strange:
        raise PackageError(
            f"{strange[0]!r} is no name for that member", where=where, mend="package it anew"
        )


def _check_samples(
    package: Package, kind: Literal["input", "output"], specs: tuple[TensorSpec, ...], where: str
) -> None:
    for index, spec in enumerate(specs):
        try:
            from_bytes(package.members[sample_member(kind, index)], spec.dtype, spec.shape)
        except PackageError as error:
            raise PackageError(
                f"its sample {kind} {spec.name!r} is damaged: {error.what}",
                where=where,
                mend="package it anew",
            ) from error
