"""Subject and profiles in, the bytes of the file to deploy out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from edgetvm.base.errors import PackageError, UsageError
from edgetvm.base.steps import warn
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.assembly import joined, single_executable, with_runners
from edgetvm.package.crossbuild import ARCHITECTURES, build_runtime
from edgetvm.package.manifest import PackagedTarget
from edgetvm.workflow.build import build
from edgetvm.workflow.package_files import Form
from edgetvm.workflow.subject import Subject


def package_for(
    subject: Subject,
    profiles: Sequence[BoardProfile],
    tuned: Sequence[TunedSchedules] = (),
    allow_mismatch: bool = False,
    options: CompileOptions = DEFAULTS,
    form: Form = "whole",
) -> Package:
    """One file for several kinds of boards; a board takes the first target that fits it.

    Args:
        profiles: of the boards, the most wanted first.
        tuned: schedules for each profile; none are tuned without it.
        form: see `edgetvm.workflow.package_files.Form`.
        subject, allow_mismatch, options: as for `build`.

    Raises:
        UsageError: a profile is named twice, or a single executable is asked for several.
        PackageError: a single executable is asked for what the C runtime cannot run.
        EdgetvmError: see `build` and `edgetvm.package.crossbuild`.
    """
    if form == "executable" and len(profiles) > 1:
        raise UsageError("one program is for one kind of board", mend="name one --device")
    built = [
        build(subject, profile, schedules, allow_mismatch, options).package
        for profile, schedules in zip(profiles, tuned or repeat(UNTUNED), strict=False)
    ]
    package = built[0] if len(built) == 1 else verify_package(joined(built), subject.name)
    if form == "bare":
        return package
    if form == "executable":
        return _executable(package)
    for target in package.manifest.targets:
        if not _has_runner(target):
            warn(f"{target.profile} gets no runtime: {_reason(target)}")
    return verify_package(with_runners(package, _has_runner, _runner), subject.name)


def _executable(package: Package) -> Package:
    (target,) = package.manifest.targets
    if not _has_runner(target):
        raise PackageError(
            f"it cannot be one program: {_reason(target)}", mend="leave --executable out"
        )
    program = single_executable(package, _runner(target.architecture))
    return verify_package(program, package.manifest.name)


def _runner(architecture: str) -> bytes:
    """Static: it needs nothing of the board."""
    return build_runtime(architecture, "musl").runner


def _has_runner(target: PackagedTarget) -> bool:
    return target.executor == "native" and target.architecture in ARCHITECTURES


def _reason(target: PackagedTarget) -> str:
    if target.executor != "native":
        return "branches or open shapes need TVM's virtual machine, and so edgetvm on the board"
    return f"the C runtime is for {', '.join(ARCHITECTURES)}"
