"""A model and profiles in, estimates of its latency out: no board has a part in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.estimate.estimating import (
    Code,
    ModelEstimate,
    calibrated,
    core_of,
    estimate_model,
)
from edgetvm.models.fills import fill
from edgetvm.models.model import Model
from edgetvm.package.archive import Package
from edgetvm.workflow.subject import Subject

Schedules = Callable[[BoardProfile, CompileOptions], TunedSchedules]


def _untuned(_profile: BoardProfile, _options: CompileOptions) -> TunedSchedules:
    return UNTUNED


def estimate(
    subject: Subject,
    profiles: Sequence[BoardProfile],
    options: CompileOptions = DEFAULTS,
    schedules: Schedules = _untuned,
) -> list[ModelEstimate]:
    """Compile a model for each profile, and estimate it on one core of each.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        profiles: of boards, which need not be there.
        options: how the model is compiled.
        schedules: of a profile; none are tuned without it.

    Raises:
        NotFoundError: a profile does not tell how its core is priced.
        ModelError, CompileError: the model cannot be built, or is more than a list of kernels.
        MissingToolError: QEMU or LLVM's programs are not installed.
        BoardCrashError, BoardTimeoutError: it failed under QEMU.
    """
    for profile in profiles:
        core_of(profile)
    model = subject.load()
    return [
        estimate_model(code_of(model, one, schedules(one, options), options), calibrated(one))
        for one in profiles
    ]


def code_of(
    model: Model, profile: BoardProfile, tuned: TunedSchedules, options: CompileOptions
) -> Code:
    """A model compiled for a profile, with made-up inputs.

    Raises:
        CompileError: it cannot be compiled.
    """
    artifact = compile_model(model, profile, tuned, options)
    inputs = fill(model.signature, "random") | model.signature.initial_states()
    return Code(
        model.name,
        artifact.library,
        artifact.kernels,
        artifact.memory,
        artifact.executor,
        b"".join(
            np.ascontiguousarray(inputs[spec.name], spec.dtype).tobytes()
            for spec in model.signature.inputs
        ),
        len(artifact.library),
    )


def estimate_package(
    package: Package, profiles: Sequence[BoardProfile] = ()
) -> list[ModelEstimate]:
    """Estimate a package as it is, on its own sample.

    Args:
        package: verified.
        profiles: of its targets; all of them without it.

    Raises:
        PackageError: it has no target for a profile.
        others: as `estimate`.
    """
    from edgetvm.boards.profile import load_profile

    manifest = package.manifest
    chosen = profiles or [load_profile(one.profile) for one in manifest.targets]
    sample = package.sample_inputs
    content = b"".join(sample[spec.name].tobytes() for spec in manifest.signature.inputs)
    found = []
    for profile in chosen:
        target = manifest.target(profile.name)
        code = Code(
            manifest.name,
            package.members[target.library],
            target.kernels,
            target.memory,
            target.executor,
            content,
            package.size_bytes,
        )
        found.append(estimate_model(code, calibrated(profile)))
    return found
