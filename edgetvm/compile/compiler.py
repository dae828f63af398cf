"""Model and board profile in, artifact out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import CompileError, EdgetvmError, UsageError
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.steps import Step, note, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import Artifact, ExecutorKind, MemoryUse
from edgetvm.compile.fallbacks import tuned_summary
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.kernel_records import kernel_calls, kernels_of
from edgetvm.compile.linker import linked, scratch_folder
from edgetvm.compile.memory.arena import memory_use
from edgetvm.compile.native.build import build_native
from edgetvm.compile.native.program import program_of
from edgetvm.compile.operations import Operation, operations_of
from edgetvm.compile.options import DEFAULTS, CompileOptions, Functions
from edgetvm.compile.passes import (
    KERNEL_PASSES,
    MACHINE_PASSES,
    OPERATOR_PASSES,
    PLACING_PASSES,
    PLANNING_PASSES,
    Pass,
    at_level,
)
from edgetvm.compile.schedules import schedule_module
from edgetvm.compile.target import target_for
from edgetvm.compile.tuned import UNTUNED, OperatorChoices, TunedSchedules
from edgetvm.models.model import Model

if TYPE_CHECKING:
    from tvm.ir import IRModule


# Enough for tiles of a vector or two, which take little code.
_SMALL_REGISTERS = 8


@dataclass(frozen=True)
class _Job:
    """What is compiled, and how."""

    model: Model
    board: BoardProfile
    options: CompileOptions
    choices: OperatorChoices

    @property
    def profile(self) -> BoardProfile:
        """What passes and rules see of the board: few registers where code is to be small, and one
        core, since what shares a kernel's work takes code too."""
        if not self.options.level.small:
            return self.board
        registers = min(_SMALL_REGISTERS, self.board.vector_registers)
        return replace(self.board, vector_registers=registers, cores=1)


def optimise(
    model: Model,
    profile: BoardProfile,
    options: CompileOptions = DEFAULTS,
    choices: OperatorChoices | None = None,
) -> IRModule:
    """The model's graph as fused, unscheduled kernels: what is scheduled and tuned.

    Args:
        model: from `edgetvm.models.import_model`.
        profile: of the board.
        options: how it is compiled.
        choices: on operators; is told what was decided.

    Raises:
        UsageError: the board has no arithmetic for the precision.
        CompileError: a pass refused the model; names the pass and those that ran before.
    """
    return optimise_told(model, profile, options, choices)[0]


def optimise_told(
    model: Model,
    profile: BoardProfile,
    options: CompileOptions = DEFAULTS,
    choices: OperatorChoices | None = None,
) -> tuple[IRModule, Mapping[str, Operation]]:
    """As `optimise`; also the operation that each variable of the graph was bound to."""
    check_precision(profile, options)
    return _optimise(_Job(model, profile, options, choices or OperatorChoices()))


def _optimise(job: _Job) -> tuple[IRModule, Mapping[str, Operation]]:
    """Also the operations that the graph had before it was turned into loops."""
    with step("optimise the graph") as this, target_for(job.profile, job.options):
        module = _run(OPERATOR_PASSES, job.model.module, job, this)
        operations = operations_of(module)
        return _run(KERNEL_PASSES, module, job, this, after=OPERATOR_PASSES), operations


def compile_model(
    model: Model,
    profile: BoardProfile,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
    *,
    emulate: bool = False,
    native: bool = True,
) -> Artifact:
    """Compile for one board profile.

    Args:
        model: from `edgetvm.models.import_model`.
        profile: of the board that will run it; it need not be this machine.
        tuned: what `edgetvm.tune` found for this profile and level; used where it has a choice.
        options: how much is optimised, how tensors lie, and in which precision.
        emulate: what the board has no arithmetic for is computed all the same, slowly: to compare
            answers only.
        native: call kernels from a function of the library where that can be; without it, as
            where it cannot be, TVM's virtual machine calls them.

    Raises:
        UsageError: the board has no arithmetic for the precision.
        CompileError: a pass, code generation or the linker refused the model.
    """
    layout = tuned.layout_for(model.provenance.sha256, options)
    options = tuned.options_for(model.provenance.sha256, options)
    if not emulate:
        check_precision(profile, options)
    job = _Job(model, profile, options, OperatorChoices(tuned.operators))
    module, operations = _optimise(job)
    with step("share memory between tensors") as this, target_for(profile, options):
        module = _run(PLACING_PASSES, module, job, this)
    calls = kernel_calls(module, model.nodes)
    with step(f"schedule {len(calls)} kernels") as this:
        with native_words_kept_back():
            scheduled, rules = schedule_module(module, job.profile, tuned, options)
        found = sum(one.origin == "tuned" for one in rules.values())
        this.detail = f"{found} tuned, {len(rules) - found} default"
    kernels = kernels_of(module, calls, rules, operations)
    with step(f"generate code for {profile.name}") as this:
        built = _built(job, scheduled, native, this)
        this.detail = f"{profile.triple}, {profile.cpu}, {options}"
    if tuned.kernels or layout != "auto":
        note(tuned_summary(kernels, layout))
    return Artifact(
        name=model.name,
        library=built.library,
        profile=profile,
        signature=model.signature,
        provenance=model.provenance,
        kernels=kernels,
        options=options,
        memory=built.memory,
        executor=built.executor,
    )


def check_precision(profile: BoardProfile, options: CompileOptions) -> None:
    """Refuse a precision that a board's CPU does not compute in.

    Raises:
        UsageError: it has no such arithmetic.
    """
    if options.precision == "fp16" and not profile.computes_half:
        raise UsageError(
            f"{profile.cpu} has no arithmetic on vectors of float16",
            where=f"board profile {profile.name}",
            mend="compile in float32 for it: leave --precision out",
        )


@dataclass(frozen=True)
class _Built:
    library: bytes
    memory: MemoryUse | None
    executor: ExecutorKind


def _built(job: _Job, module: IRModule, native: bool, this: Step) -> _Built:
    target, functions = target_for(job.profile, job.options), job.options.level.functions
    with target:
        planned = _run(PLANNING_PASSES, module, job, this)
        program = program_of(planned) if native else None
        if program is None:
            module = _with_code(_run(MACHINE_PASSES, planned, job, this, after=PLANNING_PASSES))
        try:
            with native_words_kept_back():
                if program is None:
                    library = _for_machine(module, target, functions)
                else:
                    library = build_native(program, planned, target, job.options.level)
        except EdgetvmError:
            raise
        except Exception as error:  # as for the passes
            raise CompileError(
                f"code generation failed: {_reason(error)}", where=job.model.name
            ) from error
    return _Built(library, memory_use(planned), "native" if program else "relax-vm")


def _for_machine(module: IRModule, target: Any, functions: Functions) -> bytes:
    """A library with a program of TVM's virtual machine."""
    from tvm import relax

    executable = relax.build(
        module, target=target, relax_pipeline=None, tir_pipeline=kernel_pipeline(functions)
    )
    with scratch_folder() as folder:
        return linked(executable, folder)


def _with_code(module: IRModule) -> IRModule:
    """The module with a kernel in it, if only one that nothing calls.

    Without any (all outputs are constants or views), TVM writes C for a compiler that is not there.
    """
    from tvm import te, tirx

    if any(isinstance(function, tirx.PrimFunc) for function in module.functions.values()):
        return module
    nothing = te.compute((1,), lambda _: tirx.const(0, "int32"), name="nothing")
    result = module.clone()
    result["edgetvm_nothing"] = te.create_prim_func([nothing]).with_attr(
        "global_symbol", "edgetvm_nothing"
    )
    return result


def _run(
    passes: tuple[Pass, ...],
    module: IRModule,
    job: _Job,
    this: Step,
    after: tuple[Pass, ...] = (),
) -> IRModule:
    """Run the passes of the job's level; those of `after` have been run."""
    done = at_level(after, job.options)
    chosen = at_level(passes, job.options)
    for index, one in enumerate(chosen, start=len(done)):
        try:
            with native_words_kept_back():
                module = one.make(job.profile, job.options, job.choices)(module)
        except Exception as error:  # TVM's passes raise every kind; all mean that they refuse it
            before = [past.title for past in (*done, *chosen)[:index]]
            raise CompileError(
                f"the pass {one.title!r} failed: {_reason(error)}",
                where=job.model.name,
                mend=f"it ran after: {', '.join(before) or 'none'}",
            ) from error
        this.advance(index + 1, len(done) + len(chosen), one.title)
    this.detail = f"{len(done) + len(chosen)} passes"
    return module


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
