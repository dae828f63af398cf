"""A compiled model and a profile in, an estimate of its latency out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgetvm.base.errors import CompileError, NotFoundError
from edgetvm.base.steps import step
from edgetvm.boards.core import CoreModel
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import ExecutorKind, Kernel, MemoryUse
from edgetvm.estimate.calibration import load_calibration
from edgetvm.estimate.kernels import CallCost, costs_of, machine_of
from edgetvm.estimate.replaying import Program, replayed
from edgetvm.estimate.spills import HOT_SHARE
from edgetvm.estimate.trace import Misses

_TIMEOUT_S = 1200.0


@dataclass(frozen=True)
class Estimate:
    """What some code takes on one core, estimated: nothing here was measured.

    Attributes:
        cost: in instructions and cycles.
        clock_mhz: of the core.
        error: factor by which estimates for this core are wrong, as far as is known.
    """

    cost: CallCost
    clock_mhz: float
    error: float

    @property
    def ms(self) -> float:
        """At the profile's clock."""
        return self.cost.cycles / self.clock_mhz / 1e3

    @property
    def least_ms(self) -> float:
        """The fast end of the range."""
        return self.ms / self.error

    @property
    def most_ms(self) -> float:
        """The slow end of the range; none where code spills, which is not priced."""
        return float("inf") if self.is_spilled else self.ms * self.error

    @property
    def stall_share(self) -> float:
        """Of the cycles, those that the core waits for memory."""
        return self.cost.stall_cycles / self.cost.cycles if self.cost.cycles else 0.0

    @property
    def is_spilled(self) -> bool:
        """Whether hot code keeps vectors on the stack: it takes longer than is estimated."""
        return self.cost.spilled > HOT_SHARE


@dataclass(frozen=True)
class KernelEstimate:
    """All calls of a kernel in one run.

    Attributes:
        name: of the kernel.
        workload: its operators with their shapes.
        calls: in a run.
        estimate: of all of them.
    """

    name: str
    workload: str
    calls: int
    estimate: Estimate


@dataclass(frozen=True)
class ModelEstimate:
    """A model on one core of a board, estimated.

    Attributes:
        model: its name.
        profile: of the board.
        core: that it was priced for.
        kernels: in the order of first calls.
        size_bytes: of what is deployed.
        peak_memory_bytes: of tensors between inputs and outputs, and parameters; None where it is
            not known.
    """

    model: str
    profile: BoardProfile
    core: CoreModel
    kernels: tuple[KernelEstimate, ...]
    size_bytes: int
    peak_memory_bytes: int | None

    @property
    def whole(self) -> Estimate:
        """Of a run."""
        return Estimate(
            total_of([one.estimate.cost for one in self.kernels]),
            self.profile.clock_mhz,
            self.core.error,
        )

    @property
    def spilled(self) -> tuple[str, ...]:
        """The kernels that take longer than is estimated."""
        return tuple(one.name for one in self.kernels if one.estimate.is_spilled)


def total_of(costs: Sequence[CallCost]) -> CallCost:
    """Of all calls together; spilled as its instructions are in the mean."""
    instructions = sum(one.instructions for one in costs)
    return CallCost(
        instructions,
        sum(one.core_cycles for one in costs),
        sum(one.stall_cycles for one in costs),
        sum(one.spilled * one.instructions for one in costs) / max(1, instructions),
    )


def core_of(profile: BoardProfile) -> CoreModel:
    """How a profile's core is priced, before any board was asked.

    Raises:
        NotFoundError: the profile does not tell.
    """
    if profile.core is None:
        raise NotFoundError(
            "nothing is known of how its core runs code, and no estimate is made for it",
            where=f"board profile {profile.name}",
            mend="measure on such a board, or add `core` to its profile, as in devices/rpi4.yaml",
        )
    return profile.core


def calibrated(profile: BoardProfile) -> BoardProfile:
    """The profile with what a board of its kind told, where one was calibrated on.

    Raises:
        NotFoundError: as `core_of`.
        StorageError: the calibration is damaged.
    """
    core, found = core_of(profile), load_calibration(profile.name)
    if found is None:
        return profile
    return replace(profile, clock_mhz=round(found.clock_mhz), core=found.applied(core))


def estimate_kernel(kernel: Program, profile: BoardProfile) -> Estimate:
    """Estimate one kernel, its data where the call before left it.

    Args:
        kernel: with its arguments.
        profile: that it was compiled for.

    Raises:
        NotFoundError, MissingToolError, CompileError: it cannot be priced here.
        BoardCrashError, BoardTimeoutError: it failed under QEMU.
    """
    cost, _ = watch_kernel(kernel, profile)
    return Estimate(cost, profile.clock_mhz, core_of(profile).error)


def watch_kernel(kernel: Program, profile: BoardProfile) -> tuple[CallCost, tuple[Misses, ...]]:
    """What one call of a kernel costs, and its misses; see `estimate_kernel`."""
    core = core_of(profile)
    found = replayed(kernel, machine_of(profile, core), _TIMEOUT_S)
    (cost,) = costs_of(found.trace, found.runs, core, profile.architecture, found.nothing)
    return cost, found.runs[0].misses


@dataclass(frozen=True)
class Code:
    """A compiled model.

    Attributes:
        model: its name.
        library: with the function that calls its kernels.
        kernels: of the library.
        memory: that a run takes; None where it is not known.
        executor: what calls the kernels.
        content: of the model's inputs, one behind the other.
        size_bytes: of what is deployed.
    """

    model: str
    library: bytes
    kernels: tuple[Kernel, ...]
    memory: MemoryUse | None
    executor: ExecutorKind
    content: bytes
    size_bytes: int


def estimate_model(code: Code, profile: BoardProfile) -> ModelEstimate:
    """Estimate a model on one core, in the second of two runs.

    Args:
        code: compiled for the profile's kind of core.
        profile: that it is priced for.

    Raises:
        CompileError: the model is more than a list of kernels.
        others: as `estimate_kernel`.
    """
    core = core_of(profile)
    if code.executor != "native":
        raise CompileError(
            "TVM's virtual machine calls its kernels, and such programs are not estimated",
            where=code.model,
            mend="fix its sizes (--shape, --bind); with branches there is no estimate",
        )
    with step(f"estimate {code.model} for {profile.name}") as this:
        names, costs = _costs(Program(code.library, code.content), profile, core)
        this.detail = f"{len(names)} kernel calls under QEMU"
    memory = code.memory
    return ModelEstimate(
        code.model,
        profile,
        core,
        _by_kernel(names, costs, code.kernels, profile, core),
        code.size_bytes,
        None if memory is None else memory.peak_activation_bytes + len(code.library),
    )


def _costs(
    program: Program, profile: BoardProfile, core: CoreModel
) -> tuple[tuple[str, ...], list[CallCost]]:
    found = replayed(program, machine_of(profile, core), _TIMEOUT_S)
    return found.names, costs_of(found.trace, found.runs, core, profile.architecture, found.nothing)


def _by_kernel(
    names: Sequence[str],
    costs: Sequence[CallCost],
    kernels: Sequence[Kernel],
    profile: BoardProfile,
    core: CoreModel,
) -> tuple[KernelEstimate, ...]:
    workloads = {one.name: one.workload for one in kernels}
    calls: dict[str, list[CallCost]] = {}
    for name, cost in zip(names, costs, strict=True):
        calls.setdefault(name, []).append(cost)
    return tuple(
        KernelEstimate(
            name,
            workloads.get(name, ""),
            len(mine),
            Estimate(total_of(mine), profile.clock_mhz, core.error),
        )
        for name, mine in calls.items()
    )
