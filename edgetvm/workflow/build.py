"""Subject and profile in, package out; cached by the hash of all that it depends on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from edgetvm.base import cache
from edgetvm.base.files import sha256_of, sha256_of_file
from edgetvm.base.pins import PINNED, installed_version
from edgetvm.base.steps import note, warn
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.fallbacks import schedule_warnings, tuned_summary
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.models.imported import GUESSED
from edgetvm.models.importers import source_digest
from edgetvm.models.model import Model
from edgetvm.models.reference import Source
from edgetvm.package.archive import Package, read_package
from edgetvm.package.assembly import Notes, write_package
from edgetvm.package.gate import check
from edgetvm.recipes import Recipe, label_names, prepare, processing_of, samples
from edgetvm.tune.choosing import digest
from edgetvm.workflow.subject import Subject

_FILE = "model.edgetvm"

# Whatever has a part in making or checking a package.
_PACKAGES = (
    *PINNED,
    *("onnx", "onnxsim", "onnxslim", "tflite", "torch", "ziglang"),
    *("onnxruntime", "ai-edge-litert"),
)


@dataclass(frozen=True)
class Built:
    """A package, ready for a board.

    Attributes:
        package: verified.
        source: for reference runtimes.
    """

    package: Package
    source: Source


def build(
    subject: Subject,
    profile: BoardProfile,
    tuned: TunedSchedules = UNTUNED,
    allow_mismatch: bool = False,
    options: CompileOptions = DEFAULTS,
    model: Model | None = None,
) -> Built:
    """Import, compile, check against the reference, package; or take it from the cache.

    Args:
        subject: what to build.
        profile: of the board that will run it.
        tuned: schedules; see `edgetvm.workflow.tuned_schedules`.
        allow_mismatch: package a model that is wrong all the same.
        options: how it is compiled.
        model: as the subject loads it, where that is known already.

    Raises:
        ModelError, CompileError, NumericError: the model cannot be built, or is wrong.
        StorageError: the cache folder cannot be written.
    """
    depends_on = depending_on(subject, profile, tuned, allow_mismatch, options)

    def make(folder: Path) -> None:
        recipe = subject.recipe
        # Before all that takes long: data that is missing is told at once.
        chosen = samples(recipe) if recipe is not None else ()
        loaded = model or subject.load()
        artifact = compile_model(loaded, profile, tuned, options)
        inputs = None
        if recipe is not None and chosen and recipe.stream is None:
            inputs = prepare(recipe, chosen[0])
        checked = check(artifact, loaded, inputs, allow_mismatch=allow_mismatch)
        write_package(
            folder / _FILE,
            artifact,
            checked.correctness,
            checked.sample_inputs,
            checked.sample_outputs,
            _notes(recipe, tuned),
        )

    folder, was_there = cache.get_or_make("packages", depends_on, make)
    if was_there:
        note(f"{subject.name} for {profile.name} is taken from the cache")
    path = folder / _FILE
    package = read_package(path)
    (target,) = package.manifest.targets
    layout = tuned.layout_for(package.manifest.provenance.sha256, options)
    if was_there and (tuned.kernels or layout != "auto"):
        note(tuned_summary(target.kernels, layout))
    for sentence in schedule_warnings(target.kernels, target.options):
        warn(sentence)
    for change in package.manifest.provenance.changes:
        if GUESSED in change:
            warn(f"{change}: give its real shape with --shape, or it is this one that is measured")
    return Built(package, Source(subject.path, subject.options, package.manifest.signature))


def depending_on(
    subject: Subject,
    profile: BoardProfile,
    tuned: TunedSchedules = UNTUNED,
    allow_mismatch: bool = False,
    options: CompileOptions = DEFAULTS,
) -> dict[str, object]:
    """All that shapes the package which `build` makes of the same: what it is kept under.

    Raises:
        StorageError: a file cannot be read.
    """
    return {
        "model": source_digest(subject.path),
        "name": subject.name,
        "options": asdict(subject.options),
        "profile": asdict(profile),
        "compile": asdict(options),
        "tuning": digest(tuned),
        "recipe": _recipe_digest(subject.recipe) if subject.recipe else "",
        "allow_mismatch": allow_mismatch,
        "versions": {package: installed_version(package) for package in _PACKAGES},
        "code": _code_digest(),
    }


def _notes(recipe: Recipe | None, tuned: TunedSchedules) -> Notes:
    """What a package tells of a recipe and of tuning."""
    tuning_sha256 = None if tuned == UNTUNED else digest(tuned)
    if recipe is None:
        return Notes(tuning_sha256=tuning_sha256)
    return Notes(
        processing_of(recipe),
        label_names(recipe),
        recipe.licence,
        recipe.licence_text,
        tuning_sha256,
    )


def _recipe_digest(recipe: Recipe) -> str:
    """Of all that a recipe says, and of the local files that its data come from."""
    document = TypeAdapter(Recipe).dump_python(recipe, mode="json")
    files: list[str] = []

    def look(part: object) -> None:
        if isinstance(part, dict):
            path = part.get("path")
            if isinstance(path, str) and Path(path).is_file():
                files.append(sha256_of_file(Path(path)))
            for below in part.values():
                look(below)
        elif isinstance(part, list):
            for below in part:
                look(below)

    look(document)
    return sha256_of(json.dumps([document, files], sort_keys=True, default=str).encode())


def _code_digest() -> str:
    """Of the rooms that shape a package: a change in the compiler makes old packages stale."""
    root = Path(__file__).parent.parent
    parts = [
        sha256_of_file(path)
        for room in ("recipes", "models", "compile", "package")
        for path in sorted((root / room).rglob("*.py"))
    ]
    return sha256_of("".join(parts).encode())
