"""Writing and reading `.edgetvm` files.

The same content gives the same bytes. A package is untrusted until every member's size and
SHA-256 agree with the manifest; members are read into memory and never unpacked by name.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError, UsageError
from edgetvm.base.files import read_errors, sha256_of
from edgetvm.models.model import Signature, TensorSpec
from edgetvm.package.arrays import from_bytes
from edgetvm.package.container import ends_as_package, unzipped, zipped
from edgetvm.package.manifest import (
    LABELS_NAME,
    LICENCE_FOLDER,
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    SIGNATURE_NAME,
    Manifest,
    Member,
    library_member,
    manifest_from_json,
    manifest_to_json,
    runner_member,
    sample_member,
)
from edgetvm.package.signing import signed_digest, signer_of


@dataclass(frozen=True)
class Package:
    """A verified package.

    Attributes:
        manifest: see `Manifest`.
        members: bytes by name, each equal to what the manifest says.
        data: the file's bytes.
        begin: where in `data` the package begins: after the program, in a single executable.
        manifest_json: the manifest's own bytes, which a signature is of.
        signed_by: the public key that signed it, with the program before it, in hexadecimal; None
            where it is not signed.
    """

    manifest: Manifest
    members: Mapping[str, bytes]
    data: bytes
    begin: int
    manifest_json: bytes
    signed_by: str | None

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
    whole = replace(manifest, members=members)
    return zipped({MANIFEST_NAME: manifest_to_json(whole), **ordered})


def read_package(path: Path) -> Package:
    """Read and verify a package file.

    Raises:
        PackageError: see `verify_package`; or no file at all, but a pipe or a device.
        StorageError: the file cannot be read.
    """
    with read_errors(path):
        facts = path.stat()
        # A pipe may never begin, and a device never end.
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise PackageError("it is no file", where=str(path), mend="give the path of a package")
        if facts.st_size > MAX_FILE_BYTES:
            raise PackageError(
                "it is larger than a package may be", where=str(path), mend="check the path"
            )
        data = path.read_bytes()
    return verify_package(data, str(path))


def is_package(path: Path) -> bool:
    """Whether a file is there that ends as a package does: one, or a program with one in it.

    Raises:
        StorageError: it cannot be read.
    """
    with read_errors(path):
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return ends_as_package(file)


def verify_package(data: bytes, where: str) -> Package:
    """Verify the bytes of a package file that is not trusted.

    Anything may stand before the package, as the program does in a single executable.

    Raises:
        PackageError: not a package, cut off, altered, of a newer format, or over the limits of
            `edgetvm.package.manifest`.
    """
    begin, members = unzipped(data, where)
    manifest_json = members.pop(MANIFEST_NAME)
    signed = next(reversed(members), None) == SIGNATURE_NAME
    signature_json = members.pop(SIGNATURE_NAME) if signed else None
    manifest = manifest_from_json(manifest_json, where)
    signed_by = None
    if signature_json is not None:
        signed_by = signer_of(signature_json, signed_digest(data[:begin], manifest_json), where)
    _check_program(manifest, data[:begin], where)
    _check_names(manifest, list(members), where)
    for member in manifest.members:
        data_of = members[member.name]
        if len(data_of) != member.size_bytes or sha256_of(data_of) != member.sha256:
            raise PackageError(
                f"{member.name} was altered", where=where, mend="copy it again, or package anew"
            )
    package = Package(manifest, members, data, begin, manifest_json, signed_by)
    _check_content(package, where)
    return package


def _check_program(manifest: Manifest, program: bytes, where: str) -> None:
    """Of a single executable; a package may be taken out of it."""
    told = manifest.program_sha256
    if program and told is not None and sha256_of(program) != told:
        raise PackageError(
            "its program was altered", where=where, mend="copy it again, or package anew"
        )


def _check_names(manifest: Manifest, present: list[str], where: str) -> None:
    promised = [member.name for member in manifest.members]
    if present != promised:
        strange = sorted(set(present) ^ set(promised)) or ["they stand in another order"]
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
    problem = _problem_of(signature)
    if problem is not None:
        raise PackageError(f"its signature has {problem}", where=where, mend=mend)


def _problem_of(signature: Signature) -> str | None:
    """What in a signature has no one meaning; None for nothing."""
    for specs in (signature.inputs, signature.outputs):
        if len({spec.name for spec in specs}) < len(specs):
            return "two tensors of one name"
    if len({state.input for state in signature.states}) < len(signature.states):
        return "two states of one input"
    dtypes = {spec.name: spec.dtype for spec in signature.inputs}
    for state in signature.states:
        if not _can_begin(dtypes[state.input], state.initial):
            return f"a state, {state.input!r}, that begins with no number of its type"
    return None


def _can_begin(dtype: str, initial: float) -> bool:
    """Whether a state may begin so; whole numbers begin within 32 bits, whatever their width."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return True
    if kind.kind == "b":
        return initial in (0, 1)
    own, begins = np.iinfo(kind), np.iinfo(np.int32)
    fits = max(own.min, begins.min) <= initial <= min(own.max, begins.max)
    return fits and float(initial).is_integer()


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
