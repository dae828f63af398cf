"""What goes into a package: compiled models, the sample, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgetvm.base.errors import UsageError
from edgetvm.base.files import sha256_of, write_bytes
from edgetvm.base.paths import shipped_file
from edgetvm.base.version import __version__
from edgetvm.compile.artifact import Artifact
from edgetvm.models.correctness import Correctness
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package, packed
from edgetvm.package.arrays import to_bytes
from edgetvm.package.container import ALIGNMENT_BYTES
from edgetvm.package.crossbuild import runner_licences
from edgetvm.package.manifest import (
    FORMAT_VERSION,
    LABELS_NAME,
    LICENCE_FOLDER,
    Licence,
    Manifest,
    PackagedTarget,
    TargetNeeds,
    library_member,
    runner_member,
    sample_member,
)

_APACHE = "Apache-2.0"


@dataclass(frozen=True)
class Notes:
    """What a package tells beside the code.

    Attributes:
        processing: `preprocess`, `postprocess` and `stream` of the recipe; None without one.
        labels: names of the classes.
        licence: identifier of the model's; empty where it is not known.
        licence_text: its text; empty where it is not known.
        tuning_sha256: of the tuned schedules that were used; None where there were none.
    """

    processing: Mapping[str, Any] | None = None
    labels: tuple[str, ...] = ()
    licence: str = ""
    licence_text: str = ""
    tuning_sha256: str | None = None


NOTHING_TO_NOTE = Notes()


def build_package(
    artifact: Artifact,
    correctness: Correctness | None,
    sample_inputs: Arrays,
    sample_outputs: Arrays,
    notes: Notes = NOTHING_TO_NOTE,
) -> bytes:
    """The bytes of a package file for one target.

    Args:
        artifact: from `edgetvm.compile.compile_model`.
        correctness: from `edgetvm.package.gate.check`; None where the user went on without.
        sample_inputs, sample_outputs: arrays by tensor name; what the package tests itself with.
        notes: see `Notes`.
    """
    target = _target(artifact, correctness, notes)
    licences, texts = _licences(artifact.name, notes)
    files = {
        target.library: artifact.library,
        **_sample_files(artifact, sample_inputs, sample_outputs),
        LABELS_NAME: "".join(f"{' '.join(label.split())}\n" for label in notes.labels).encode(),
        **texts,
    }
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        edgetvm_version=__version__,
        name=artifact.name,
        signature=artifact.signature,
        provenance=artifact.provenance,
        targets=(target,),
        processing=notes.processing,
        labels=LABELS_NAME if notes.labels else None,
        licences=licences,
    )
    return packed(manifest, files)


def write_package(
    path: Path,
    artifact: Artifact,
    correctness: Correctness | None,
    sample_inputs: Arrays,
    sample_outputs: Arrays,
    notes: Notes = NOTHING_TO_NOTE,
) -> None:
    """Write a package file, whole or not at all. See `build_package`.

    Raises:
        StorageError: disk full, no permission, no such folder.
    """
    data = build_package(artifact, correctness, sample_inputs, sample_outputs, notes)
    write_bytes(path, data)


def joined(packages: Sequence[Package]) -> bytes:
    """One package file for the targets of several, all of the same model.

    The sample is that of the first.

    Raises:
        UsageError: they are of different models, or two are for the same profile.
    """
    first = packages[0]
    targets = tuple(target for package in packages for target in package.manifest.targets)
    profiles = [target.profile for target in targets]
    twice = {profile for profile in profiles if profiles.count(profile) > 1}
    if twice:
        raise UsageError(
            f"{min(twice)} is named twice", mend="boards of one profile share one target"
        )
    for package in packages[1:]:
        if not _same_model(first, package):
            raise UsageError(
                f"{package.manifest.name} is another model than {first.manifest.name}",
                mend="join packages of one model",
            )
    files = {name: data for package in reversed(packages) for name, data in package.members.items()}
    return packed(replace(first.manifest, targets=targets), files)


def with_runners(
    package: Package,
    wanted: Callable[[PackagedTarget], bool],
    runner_of: Callable[[str], bytes],
) -> bytes:
    """The package file with a program for each target that runs it without anything else.

    Args:
        wanted: whether a target gets one.
        runner_of: the program for an architecture; see `edgetvm.package.crossbuild`.
    """
    names = {one.profile: runner_member(one.profile) for one in package.manifest.targets}
    chosen = [one for one in package.manifest.targets if wanted(one)]
    if not chosen:
        return package.data
    programs = {names[one.profile]: runner_of(one.architecture) for one in chosen}
    targets = tuple(
        replace(one, runtime=names[one.profile] if one in chosen else None)
        for one in package.manifest.targets
    )
    licences, texts = _runtime_licences()
    manifest = replace(
        package.manifest, targets=targets, licences=(*package.manifest.licences, *licences)
    )
    return packed(manifest, {**package.members, **programs, **texts})


def single_executable(package: Package, runner: bytes) -> bytes:
    """One program with the model in it: the static runner, filled up to a page, and the package.

    Args:
        package: that brings no runner of its own.
    """
    licences, texts = _runtime_licences()
    filled = runner + bytes(-len(runner) % ALIGNMENT_BYTES)
    manifest = replace(
        package.manifest,
        licences=(*package.manifest.licences, *licences),
        program_sha256=sha256_of(filled),
    )
    return filled + packed(manifest, {**package.members, **texts})


def _licences(model: str, notes: Notes) -> tuple[tuple[Licence, ...], dict[str, bytes]]:
    """Edgetvm's and the model's, and their texts by the member's name.

    That of Apache-2.0 is the same for all; others name whose the work is.
    """
    own, models = f"{LICENCE_FOLDER}edgetvm.txt", f"{LICENCE_FOLDER}model.txt"
    texts = {own: shipped_file("LICENSE").read_bytes()}
    licences = [Licence("edgetvm", _APACHE, own)]
    if notes.licence:
        if notes.licence_text:
            texts[models] = notes.licence_text.encode()
        elif notes.licence == _APACHE:
            texts[models] = texts[own]
        licences.append(Licence(model, notes.licence, models if models in texts else None))
    return tuple(licences), texts


def _runtime_licences() -> tuple[tuple[Licence, ...], dict[str, bytes]]:
    """Of what a static runner holds beside edgetvm, and their texts by the member's name."""
    texts = {f"{LICENCE_FOLDER}{name}.txt": text for name, text in runner_licences().items()}
    licences = tuple(Licence(Path(member).stem, "MIT", member) for member in texts)
    return licences, texts


def _target(artifact: Artifact, correctness: Correctness | None, notes: Notes) -> PackagedTarget:
    return PackagedTarget(
        **asdict(TargetNeeds.of(artifact.profile)),
        executor=artifact.executor,
        library=library_member(artifact.profile.name),
        runtime=None,
        kernels=artifact.kernels,
        correctness=correctness,
        memory=artifact.memory,
        options=artifact.options,
        tuning_sha256=notes.tuning_sha256,
    )


def _sample_files(
    artifact: Artifact, sample_inputs: Arrays, sample_outputs: Arrays
) -> dict[str, bytes]:
    inputs, outputs = artifact.signature.inputs, artifact.signature.outputs
    given = (
        (sample_member("input", index), sample_inputs[spec.name])
        for index, spec in enumerate(inputs)
    )
    answered = (
        (sample_member("output", index), sample_outputs[spec.name])
        for index, spec in enumerate(outputs)
    )
    return {name: to_bytes(array) for name, array in (*given, *answered)}


def _same_model(a: Package, b: Package) -> bool:
    """Whether all but the targets and their answers is equal."""
    bare = [replace(one.manifest, targets=(), members=()) for one in (a, b)]
    return bare[0] == bare[1] and all(
        data == b.members[name]
        for name, data in a.members.items()
        if name.startswith("sample/input-")
    )
