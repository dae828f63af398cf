"""Model and board profile in, artifact out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import CompileError, EdgetvmError
from edgetvm.base.files import storage_errors
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.steps import Step, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.artifact import Artifact, Kernel
from edgetvm.compile.linker import link_shared
from edgetvm.compile.memory.arena import memory_use
from edgetvm.compile.memory.kernels import kernel_pipeline
from edgetvm.compile.origins import nodes_of
from edgetvm.compile.passes import GRAPH_PASSES, LOWERING_PASSES, Pass
from edgetvm.compile.schedules import schedule_module
from edgetvm.compile.target import target_for
from edgetvm.models.model import Model

if TYPE_CHECKING:
    from tvm.ir import IRModule


def optimise(model: Model, profile: BoardProfile) -> IRModule:
    """The model's graph as fused, unscheduled kernels: what is scheduled and tuned.

    Raises:
        CompileError: a pass refused the model; names the pass and those that ran before.
    """
    with step("optimise the graph") as this, target_for(profile):
        return _run(GRAPH_PASSES, model.module, model, profile, this)


def compile_model(
    model: Model, profile: BoardProfile, tuning_database: Path | None = None
) -> Artifact:
    """Compile for one board profile.

    Args:
        model: from `edgetvm.models.import_model`.
        profile: of the board that will run it; it need not be this machine.
        tuning_database: a folder that `edgetvm.tune` wrote; its schedules are used where it has
            one for a kernel.

    Raises:
        CompileError: a pass, code generation or the linker refused the model.
    """
    from tvm import relax

    module = optimise(model, profile)
    calls = _kernel_calls(module, model.nodes)
    with step(f"schedule {len(calls)} kernels") as this:
        with native_words_kept_back():
            module, rules = schedule_module(module, profile, tuning_database)
        tuned = sum(origin == "tuned" for origin, _ in rules.values())
        this.detail = f"{tuned} tuned, {len(rules) - tuned} default"
    with step(f"generate code for {profile.name}") as this:
        target = target_for(profile)
        with target:
            module = _with_code(_run(LOWERING_PASSES, module, model, profile, this))
            memory = memory_use(module)
            try:
                with native_words_kept_back():
                    executable = relax.build(
                        module, target, relax_pipeline=None, tir_pipeline=kernel_pipeline()
                    )
                    library = _link(executable)
            except EdgetvmError:
                raise
            except Exception as error:  # as for the passes
                raise CompileError(
                    f"code generation failed: {_reason(error)}", where=model.name
                ) from error
        this.detail = f"{profile.triple}, {profile.cpu}"
    return Artifact(
        name=model.name,
        library=library,
        profile=profile,
        signature=model.signature,
        provenance=model.provenance,
        kernels=tuple(
            Kernel(name, len(nodes), *rules[name], nodes=tuple(nodes))
            for name, nodes in calls.items()
        ),
        memory=memory,
    )


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
    passes: tuple[Pass, ...], module: IRModule, model: Model, profile: BoardProfile, this: Step
) -> IRModule:
    for index, one in enumerate(passes):
        try:
            with native_words_kept_back():
                module = one.make(profile)(module)
        except Exception as error:  # TVM's passes raise every kind; all mean that they refuse it
            raise CompileError(
                f"the pass {one.title!r} failed: {_reason(error)}",
                where=model.name,
                mend=f"it ran after: {', '.join(done.title for done in passes[:index]) or 'none'}",
            ) from error
        this.advance(index + 1, len(passes), one.title)
    this.detail = f"{len(passes)} passes"
    return module


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _kernel_calls(module: IRModule, nodes: Mapping[str, str]) -> dict[str, list[tuple[str, ...]]]:
    """For each kernel, in the order of first calls, the nodes that each of its calls computes."""
    import tvm
    from tvm import relax

    calls: dict[str, list[tuple[str, ...]]] = {}
    call_tir = tvm.ir.Op.get("relax.call_tir")

    def walk(function: Any) -> None:
        for value, names in nodes_of(function, nodes):
            if not isinstance(value, relax.Call):
                continue
            if value.op == call_tir:
                calls.setdefault(value.args[0].name_hint, []).append(names)
            elif isinstance(value.op, tvm.ir.GlobalVar):
                walk(module[value.op])

    walk(module["main"])
    return calls


def _link(executable: Any) -> bytes:
    scratch = Path(tempfile.gettempdir())
    with storage_errors(scratch), tempfile.TemporaryDirectory(prefix="edgetvm-") as folder:
        path = Path(folder, "model.so")
        executable.export_library(str(path), fcompile=link_shared, workspace_dir=folder)
        return path.read_bytes()
