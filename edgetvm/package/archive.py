"""Writing and reading `.edgetvm` files: plain ZIP, members stored, the manifest first.

The same content gives the same bytes. A package is untrusted until every member's size and
SHA-256 agree with the manifest; members are read into memory and never unpacked by name.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError, UsageError
from edgetvm.base.files import sha256_of, storage_errors, write_bytes
from edgetvm.base.version import __version__
from edgetvm.compile.artifact import Artifact
from edgetvm.models.correctness import Correctness
from edgetvm.models.model import Arrays, TensorSpec
from edgetvm.package.arrays import from_bytes, to_bytes
from edgetvm.package.manifest import (
    FORMAT_VERSION,
    LIBRARY_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MAX_MEMBERS,
    MAX_TOTAL_BYTES,
    Manifest,
    Member,
    TargetNeeds,
    manifest_from_json,
    manifest_to_json,
)

# ZIP's own epoch: a package's bytes do not depend on when it was made.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A verified package.

    Attributes:
        manifest: see `Manifest`.
        members: bytes by name, each equal to what the manifest says.
        data: the file's bytes.
    """

    manifest: Manifest
    members: Mapping[str, bytes]
    data: bytes

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

    def _arrays(self, kind: str, specs: tuple[TensorSpec, ...]) -> dict[str, NDArray[np.generic]]:
        return {
            spec.name: from_bytes(self.members[_sample_member(kind, index)], spec.dtype, spec.shape)
            for index, spec in enumerate(specs)
        }


def _sample_member(kind: str, index: int) -> str:
    # Tensor names may hold any character: members are numbered in the signature's order.
    return f"sample/{kind}-{index}.bin"


def build_package(
    artifact: Artifact,
    correctness: Correctness | None,
    sample_inputs: Arrays,
    sample_outputs: Arrays,
) -> bytes:
    """The bytes of a package file.

    Args:
        artifact: from `edgetvm.compile.compile_model`.
        correctness: from `edgetvm.package.gate.check`; None where the user went on without.
        sample_inputs, sample_outputs: arrays by tensor name; what the package tests itself with.
    """
    signature = artifact.signature
    members = {LIBRARY_NAME: artifact.library}
    for index, spec in enumerate(signature.inputs):
        members[_sample_member("input", index)] = to_bytes(sample_inputs[spec.name])
    for index, spec in enumerate(signature.outputs):
        members[_sample_member("output", index)] = to_bytes(sample_outputs[spec.name])
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        edgetvm_version=__version__,
        name=artifact.name,
        executor=artifact.executor,
        target=TargetNeeds.of(artifact.profile),
        signature=signature,
        provenance=artifact.provenance,
        kernels=artifact.kernels,
        correctness=correctness,
        options=artifact.options,
        members=tuple(Member(name, sha256_of(data), len(data)) for name, data in members.items()),
        memory=artifact.memory,
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {MANIFEST_NAME: manifest_to_json(manifest), **members}.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def write_package(
    path: Path,
    artifact: Artifact,
    correctness: Correctness | None,
    sample_inputs: Arrays,
    sample_outputs: Arrays,
) -> None:
    """Write a package file, whole or not at all. See `build_package`.

    Raises:
        StorageError: disk full, no permission, no such folder.
    """
    write_bytes(path, build_package(artifact, correctness, sample_inputs, sample_outputs))


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

    Raises:
        PackageError: not a package, cut off, altered, of a newer format, or over the limits of
            `edgetvm.package.manifest`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, where)
            manifest = manifest_from_json(archive.read(entries[0]), where)
            _check_names(manifest, entries, where)
            members = {entry.filename: archive.read(entry) for entry in entries[1:]}
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
    package = Package(manifest, members, data)
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
    if LIBRARY_NAME not in package.members:
        raise PackageError("it holds no compiled model", where=where, mend="package it anew")
    signature = package.manifest.signature
    expected = [
        LIBRARY_NAME,
        *(_sample_member("input", index) for index in range(len(signature.inputs))),
        *(_sample_member("output", index) for index in range(len(signature.outputs))),
    ]
    if list(package.members) != expected:
        raise PackageError(
            "its members are not those of its signature", where=where, mend="package it anew"
        )
    try:
        signature.with_states({state.input: state.output for state in signature.states})
    except UsageError as error:
        raise PackageError(error.what, where=where, mend="package it anew") from error
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for index, spec in enumerate(specs):
            try:
                from_bytes(package.members[_sample_member(kind, index)], spec.dtype, spec.shape)
            except (KeyError, PackageError) as error:
                reason = error.what if isinstance(error, PackageError) else "it is missing"
                raise PackageError(
                    f"its sample {kind} {spec.name!r} is damaged: {reason}",
                    where=where,
                    mend="package it anew",
                ) from error
