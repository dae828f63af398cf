"""What became of a model: its kernels, with what each computes and how much of the work it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import step, warn
from edgetvm.base.units import format_ms
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import Kernel, MemoryUse
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.fallbacks import schedule_warnings, work_shares
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.measure.kernel_times import KernelTimes, time_kernels
from edgetvm.models.fills import fill
from edgetvm.models.model import Signature
from edgetvm.package.archive import Package
from edgetvm.package.executor import Executor
from edgetvm.workflow.deviation import Deviation, deviations
from edgetvm.workflow.subject import Subject

_LOCAL = "local"
# What a run and its kernels, timed one after the other, may differ by: a share of the run, and what
# subtracting the stamps leaves open.
_APART = 0.2
_STAMPED_US = 10.0


@dataclass(frozen=True)
class InspectedKernel:
    """A kernel with its part in a run.

    Attributes:
        kernel: its record.
        work_share: of a run's multiply-adds, or of the bytes moved where that is more.
        us: of all its calls in a run; None where nothing was timed.
        time_share: of the times of all kernels.
    """

    kernel: Kernel
    work_share: float
    us: float | None = None
    time_share: float | None = None


@dataclass(frozen=True)
class Inspection:
    """A compiled model seen kernel by kernel.

    Attributes:
        name: of the model.
        profile: name of the board profile.
        options: that it was compiled with.
        kernels: in the order of their first call.
        warnings: kernels in plain loops that do much of the work.
        run_us: of a run on this machine; None where nothing was timed.
        runtime_us: in the runtime's own functions, timed beside the kernels.
        threads: that the run was on.
        memory: that a run takes; None where it is not known.
        deviations: of an approximate level, or of float16, from others.
    """

    name: str
    profile: str
    options: CompileOptions
    kernels: tuple[InspectedKernel, ...]
    warnings: tuple[str, ...]
    run_us: float | None = None
    runtime_us: float | None = None
    threads: int | None = None
    memory: MemoryUse | None = None
    deviations: tuple[Deviation, ...] = ()

    @property
    def gflop(self) -> float:
        """Of a run, a multiply-add counted as two."""
        return sum(one.kernel.gflop for one in self.kernels)

    @property
    def kernels_us(self) -> float:
        """Of all kernels, timed one by one."""
        return sum(one.us or 0.0 for one in self.kernels)


def inspect(
    subject: Subject,
    profile: BoardProfile,
    options: CompileOptions = DEFAULTS,
    tuned: TunedSchedules = UNTUNED,
    timed: bool = False,
    threads: int | None = None,
) -> Inspection:
    """Compile a model and tell its kernels.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        profile: of the board that it is compiled for.
        options: how it is compiled. At the approximate level, and in float16, its
            error is measured too.
        tuned: schedules; see `edgetvm.workflow.tuned_schedules`.
        timed: run it on this machine, and time its kernels.
        threads: to time it on; all cores without it.

    Raises:
        UsageError: it is to be timed, and it is compiled for another board.
        ModelError, CompileError: the model cannot be built.
    """
    _check_local(profile.name, timed)
    model = subject.load()
    artifact = compile_model(model, profile, tuned, options)
    times = _timed(artifact.library, model.signature, threads) if timed else None
    errors: tuple[Deviation, ...] = ()
    if options.level.functions == "approximate" or options.precision == "fp16":
        errors = deviations(model, subject.recipe, options)
    found = _inspection(subject.name, profile.name, options, artifact.kernels, times)
    return replace(found, memory=artifact.memory, deviations=errors)


def inspect_package(
    package: Package,
    profile: str | None = None,
    timed: bool = False,
    threads: int | None = None,
) -> Inspection:
    """Tell the kernels of a package.

    Args:
        package: verified.
        profile: of the target to look at; the first without it.
        timed: run it on this machine, and time its kernels.
        threads: to time it on; all cores without it.

    Raises:
        UsageError: it is to be timed, and it is compiled for another board.
        PackageError: this machine cannot run it, or it holds no such target.
    """
    manifest = package.manifest
    target = manifest.targets[0] if profile is None else manifest.target(profile)
    _check_local(target.profile, timed)
    times = None
    if timed:
        times = _timed(package.members[target.library], manifest.signature, threads)
    found = _inspection(manifest.name, target.profile, target.options, target.kernels, times)
    return replace(found, memory=target.memory)


def _check_local(profile: str, timed: bool) -> None:
    if timed and profile != _LOCAL:
        raise UsageError(
            f"it is compiled for {profile}, and kernels are timed on this machine",
            mend="leave --time or --device out; edgetvm bench measures on boards",
        )


def _timed(library: bytes, signature: Signature, threads: int | None) -> KernelTimes:
    with step("time the kernels on this machine") as this:
        executor = Executor(library, signature, threads)
        executor.set_inputs(fill(signature, "random"))
        times = time_kernels(executor)
        this.detail = f"{times.run_us / 1e3:.3g} ms a run"
    if abs(times.sum_us - times.run_us) > _APART * times.run_us + _STAMPED_US:
        warn(
            f"a run takes {format_ms(times.run_us / 1e3)} and its kernels, timed one by one, "
            f"{format_ms(times.sum_us / 1e3)}: something else ran; close it and time again"
        )
    return times


def _inspection(
    name: str,
    profile: str,
    options: CompileOptions,
    kernels: Sequence[Kernel],
    times: KernelTimes | None,
) -> Inspection:
    warnings = tuple(schedule_warnings(kernels, options))
    for sentence in warnings:
        warn(sentence)
    told = tuple(map(InspectedKernel, kernels, work_shares(kernels)))
    found = Inspection(name, profile, options, told, warnings)
    return found if times is None else _with_times(found, times)


def _with_times(found: Inspection, times: KernelTimes) -> Inspection:
    known = {one.name: one.us for one in times.functions}
    each_us = [known.pop(one.kernel.name, 0.0) for one in found.kernels]
    all_us = sum(each_us) or 1.0
    return replace(
        found,
        kernels=tuple(
            replace(one, us=us, time_share=us / all_us)
            for one, us in zip(found.kernels, each_us, strict=True)
        ),
        run_us=times.run_us,
        runtime_us=sum(known.values()),
        threads=times.threads,
    )
