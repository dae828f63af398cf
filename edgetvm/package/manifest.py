"""The manifest: the first member of a package, and all that may be believed about the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from edgetvm.base.errors import PackageError
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import ExecutorKind, Kernel, MemoryUse
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.models.correctness import Correctness
from edgetvm.models.model import Provenance, Signature

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
LIBRARY_NAME = "model.so"

# Far above any model for a board, and far below what would fill a disk or memory by surprise.
MAX_MEMBERS = 1000
MAX_TOTAL_BYTES = 4 << 30
MAX_MANIFEST_BYTES = 4 << 20

# A member's name: folders of plain words, never absolute, never upwards.
MemberName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")
]


@dataclass(frozen=True)
class Member:
    """A file in the package, and the proof that it is whole."""

    name: MemberName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=0, le=MAX_TOTAL_BYTES)]


@dataclass(frozen=True)
class TargetNeeds:
    """What a board must be to run the code.

    Attributes:
        profile: name of the board profile that it was compiled for.
        architecture: as `uname -m` prints it.
        triple, cpu: LLVM's.
        required_cpu_flags: of /proc/cpuinfo.
        emulated: whether the profile is of an emulated board.
    """

    profile: str
    architecture: str
    triple: str
    cpu: str
    required_cpu_flags: tuple[str, ...]
    emulated: bool

    @classmethod
    def of(cls, profile: BoardProfile) -> TargetNeeds:
        """What code compiled for a profile needs."""
        return cls(
            profile=profile.name,
            architecture=profile.architecture,
            triple=profile.triple,
            cpu=profile.cpu,
            required_cpu_flags=profile.required_cpu_flags,
            emulated=profile.emulated,
        )


@dataclass(frozen=True)
class Manifest:
    """What is in a package.

    Attributes:
        format_version: of the package format; a reader refuses a newer one.
        edgetvm_version: of the writer.
        name: of the model.
        executor: what calls its kernels.
        target: see `TargetNeeds`.
        signature: inputs, outputs and states.
        provenance: of the model's source.
        kernels: of the compiled library.
        correctness: the check before packaging; None where the user went on without it.
        members: every other file of the package.
        options: that the model was compiled with.
        memory: that a run takes; None where it was not known.
    """

    format_version: int
    edgetvm_version: str
    name: str
    executor: ExecutorKind
    target: TargetNeeds
    signature: Signature
    provenance: Provenance
    kernels: tuple[Kernel, ...]
    correctness: Correctness | None
    members: tuple[Member, ...]
    options: CompileOptions = DEFAULTS
    memory: MemoryUse | None = None

    @property
    def sizes_bytes(self) -> Mapping[str, int]:
        """Size of each member by name."""
        return {member.name: member.size_bytes for member in self.members}


_ADAPTER = TypeAdapter(Manifest)


def manifest_to_json(manifest: Manifest) -> bytes:
    """The manifest as JSON text: the same manifest gives the same bytes."""
    return json.dumps(
        _ADAPTER.dump_python(manifest, mode="json"), indent=1, sort_keys=True
    ).encode()


def manifest_from_json(data: bytes, where: str) -> Manifest:
    """Read and check a manifest that is not trusted.

    Raises:
        PackageError: not a manifest, or of a newer format version.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackageError("its manifest is not JSON", where=where, mend="copy it again") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise PackageError(
            f"it has package format {version}",
            where=where,
            mend=f"this edgetvm reads format {FORMAT_VERSION}: package the model again, or update",
        )
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise PackageError(
            f"its manifest is wrong at {key}: {first['msg'].lower()}",
            where=where,
            mend="package the model again",
        ) from error
