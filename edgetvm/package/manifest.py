"""The manifest: the first member of a package, and all that may be believed about the others."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edgetvm.base.errors import PackageError
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import ExecutorKind, Kernel, MemoryUse
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.models.correctness import Correctness
from edgetvm.models.model import Provenance, Signature

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "signature.json"
LABELS_NAME = "labels.txt"
LICENCE_FOLDER = "licences/"

# Far above any model for a board, and far below what would fill a disk or memory by surprise.
MAX_MEMBERS = 1000
MAX_TOTAL_BYTES = 4 << 30
MAX_MANIFEST_BYTES = 4 << 20
MAX_SIGNATURE_BYTES = 4 << 10
MAX_DIRECTORY_BYTES = 1 << 20
# With a program before the package, headers and the directory.
MAX_FILE_BYTES = MAX_TOTAL_BYTES + (64 << 20)
MAX_NAME_BYTES = 255
MAX_CPU_FLAGS = 64
# Objects and lists of the manifest within one another.
MAX_DEPTH = 32

_AGAIN = "package the model again"

# A member's name: folders of plain words, never absolute, never upwards.
MemberName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        max_length=MAX_NAME_BYTES,
    ),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Member:
    """A file in the package, and the proof that it is whole."""

    name: MemberName
    sha256: Sha256
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
    required_cpu_flags: Annotated[tuple[str, ...], Field(max_length=MAX_CPU_FLAGS)]
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
class PackagedTarget(TargetNeeds):
    """The model compiled for one kind of board.

    Attributes:
        executor: what calls its kernels.
        library, runtime: names of members: the compiled model, and the program that runs it without
            anything else; None where the package brings no such program.
        kernels: of the library.
        correctness: the check before packaging; None where the user went on without it.
        memory: that a run takes; None where it was not known.
        options: that the model was compiled with.
        tuning_sha256: of the tuned schedules that it was compiled with; None where it took none.
    """

    executor: ExecutorKind
    library: MemberName
    runtime: MemberName | None
    kernels: tuple[Kernel, ...]
    correctness: Correctness | None
    memory: MemoryUse | None = None
    options: CompileOptions = DEFAULTS
    tuning_sha256: Sha256 | None = None


@dataclass(frozen=True)
class Licence:
    """Under which terms a part of the package stands.

    Attributes:
        name: of the part: `edgetvm`, or the model's.
        spdx: identifier of the licence.
        member: with its text; None where only the identifier is known.
    """

    name: str
    spdx: str
    member: MemberName | None


@dataclass(frozen=True)
class Manifest:
    """What is in a package.

    Attributes:
        format_version: of the package format; a reader refuses a newer one.
        edgetvm_version: of the writer.
        name: of the model.
        signature: inputs, outputs and states.
        provenance: of the model's source.
        targets: the kinds of boards that it runs on, the most wanted first.
        members: every other file of the package, but for a signature.
        processing: `preprocess`, `postprocess` and `stream` of the recipe; None without one.
        labels: name of the member that names the classes, one a line.
        licences: of the parts.
        program_sha256: in a single executable, of all that stands before the package; None without.
    """

    format_version: int
    edgetvm_version: str
    name: str
    signature: Signature
    provenance: Provenance
    targets: tuple[PackagedTarget, ...]
    members: tuple[Member, ...] = ()
    processing: Mapping[str, Any] | None = None
    labels: MemberName | None = None
    licences: tuple[Licence, ...] = ()
    program_sha256: Sha256 | None = None

    @property
    def sizes_bytes(self) -> Mapping[str, int]:
        """Size of each member by name."""
        return {member.name: member.size_bytes for member in self.members}

    @property
    def member_names(self) -> list[str]:
        """What the members must be called, in the archive's order."""
        code = [name for one in self.targets for name in (one.library, one.runtime)]
        samples = [
            *(sample_member("input", index) for index in range(len(self.signature.inputs))),
            *(sample_member("output", index) for index in range(len(self.signature.outputs))),
        ]
        texts = [self.labels, *(licence.member for licence in self.licences)]
        return [name for name in (*code, *samples, *texts) if name is not None]

    def target(self, profile: str) -> PackagedTarget:
        """The target of that profile.

        Raises:
            PackageError: it has none.
        """
        for one in self.targets:
            if one.profile == profile:
                return one
        known = ", ".join(one.profile for one in self.targets)
        raise PackageError(f"it holds nothing for {profile}", mend=f"it is for {known}")


def library_member(profile: str) -> str:
    """Name of the compiled model for a profile."""
    return f"{profile}/model.so"


def runner_member(profile: str) -> str:
    """Name of the program that runs the model on boards of a profile."""
    return f"{profile}/edgetvm-run"


def sample_member(kind: Literal["input", "output"], index: int) -> str:
    """Name of an array of the sample: numbered, for tensor names may hold any character."""
    return f"sample/{kind}-{index}.bin"


_ADAPTER = TypeAdapter(Manifest)


def manifest_to_json(manifest: Manifest) -> bytes:
    """The manifest as JSON text: the same manifest gives the same bytes."""
    document = _ADAPTER.dump_python(manifest, mode="json")
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= (number := int(digits)) < 1 << 63:
        raise ValueError("a whole number is too large")
    return number


def _check_values(value: Any, room: int = MAX_DEPTH) -> None:
    """Refuse what no reader in C takes: texts with a NUL or of no characters, deep nesting."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError("a text holds what is no character")
    elif isinstance(value, (dict, list)):
        if room == 0:
            raise ValueError("it is nested too deeply")
        for one in (*value, *(value.values() if isinstance(value, dict) else ())):
            _check_values(one, room - 1)


def _document(text: str) -> Any:
    """JSON as a manifest may be.

    Raises:
        ValueError, RecursionError: it is not.
    """
    read = json.loads(
        text,
        object_pairs_hook=_object,
        parse_constant=_no_number,
        parse_float=_finite,
        parse_int=_whole,
    )
    _check_values(read)
    return read


def manifest_from_json(data: bytes, where: str) -> Manifest:
    """Read and check a manifest that is not trusted.

    Raises:
        PackageError: not a manifest, or of a newer format version.
    """
    try:
        text = data.decode()
        document = _document(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(
            f"its manifest is not JSON: {error}", where=where, mend="copy it again, or package anew"
        ) from error
    except ValueError as error:
        raise PackageError(f"its manifest is wrong: {error}", where=where, mend=_AGAIN) from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if type(version) is not int or version != FORMAT_VERSION:
        raise PackageError(
            f"it has package format {version}",
            where=where,
            mend=f"this edgetvm reads format {FORMAT_VERSION}: package the model again, or update",
        )
    try:
        return _ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, told = ".".join(str(part) for part in first["loc"]), first["msg"]
        raise PackageError(
            f"its manifest is wrong at {key}: {told[0].lower()}{told[1:]}",
            where=where,
            mend=_AGAIN,
        ) from error
