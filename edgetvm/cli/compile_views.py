"""What the commands about compiling print: documents for `--json`, tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural, printable, told_nodes
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from edgetvm.compile import Artifact, CompileOptions, Kernel, MemoryUse
    from edgetvm.workflow.inspecting import InspectedKernel, Inspection

MOST_ROWS = 40


def _kernels(kernels: Sequence[Kernel]) -> Table:
    table = new_table("kernel", "calls", "schedule", "rule", "nodes", right=("calls",))
    # Names of fused kernels are the longest: they give way, not what follows them.
    for column in table.columns:
        column.no_wrap = column.header in ("calls", "schedule", "rule")
        column.overflow = "fold"
    for kernel in kernels:
        nodes = told_nodes(kernel.nodes)
        add_row(table, kernel.name, str(kernel.calls), kernel.schedule, kernel.rule, nodes)
    return table


def _left_out(count: int, most_rows: int | None) -> list[str]:
    """What stands below a table of so many kernels of which not all are shown."""
    if most_rows is None or count <= most_rows:
        return []
    return [f"… and {count - most_rows} more: --all shows them"]


def _options(options: CompileOptions) -> str:
    return f"{options} ({options.level.title})"


def artifact_document(artifact: Artifact, path: Path | None) -> dict[str, Any]:
    """`edgetvm compile --json`."""
    return {
        "name": artifact.name,
        "profile": artifact.profile.name,
        "options": asdict(artifact.options),
        "library_size_bytes": len(artifact.library),
        "kernels": [asdict(kernel) for kernel in artifact.kernels],
        "memory": asdict(artifact.memory) if artifact.memory else None,
        "path": str(path) if path else None,
    }


def artifact_view(
    artifact: Artifact, path: Path | None, most_rows: int | None = MOST_ROWS
) -> RenderableType:
    """`edgetvm compile`."""
    facts = {
        "model": artifact.name,
        "target": f"{artifact.profile.name} ({artifact.profile.triple}, {artifact.profile.cpu})",
        "compiled with": _options(artifact.options),
        "library": format_bytes(len(artifact.library)),
        "activations": told_memory(artifact.memory, artifact.options),
    }
    if path is not None:
        facts["written to"] = str(path)
    left_out = _left_out(len(artifact.kernels), most_rows)
    return Group(_kernels(artifact.kernels[:most_rows]), *left_out, "", fact_table(facts))


def passes_document(options: CompileOptions) -> dict[str, Any]:
    """`edgetvm passes --json`."""
    from edgetvm.compile.options import LEVELS
    from edgetvm.compile.stages import stages

    return {
        "options": asdict(options),
        "levels": [asdict(level) for level in LEVELS],
        "passes": [asdict(one) for one in stages(options)],
    }


def passes_view(options: CompileOptions) -> RenderableType:
    """`edgetvm passes`."""
    from edgetvm.compile.options import LEVELS
    from edgetvm.compile.stages import stages

    levels = fact_table({f"-O{one.word}, {one.title}": one.meaning for one in LEVELS})
    passes = new_table("stage", "pass or rule", "from level", right=("from level",))
    told = ""
    for one in stages(options):
        add_row(passes, one.stage if one.stage != told else "", one.title, str(one.level))
        told = one.stage
    return Group(levels, "", passes)


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """`edgetvm inspect --json`."""
    document = asdict(inspection)
    document["gflop"] = inspection.gflop
    for one, told in zip(inspection.kernels, document["kernels"], strict=True):
        told.update(told.pop("kernel"), gflop=one.kernel.gflop)
    return document


def inspection_view(
    inspection: Inspection, most_rows: int | None = MOST_ROWS, decisions: bool = False
) -> RenderableType:
    """`edgetvm inspect`: the kernels with most work, or time, first."""
    timed = inspection.run_us is not None
    columns = ("share", *(("ms",) if timed else ()), "calls", "GFLOP")
    columns += ("GFLOP/s",) if timed else ()
    kernels = new_table(*columns, "rule", "nodes, and what they compute", right=columns)
    for one in sorted(inspection.kernels, key=_share, reverse=True)[:most_rows]:
        kernel = one.kernel
        figures = [f"{_share(one):.1%}", str(kernel.calls), _figure(kernel.gflop)]
        if timed:
            us = one.us or 0.0
            figures.insert(1, _figure(us / 1e3))
            figures.append(f"{kernel.gflop / us * 1e6:.1f}" if kernel.gflop and us else "")
        rule = "tuned" if kernel.schedule == "tuned" else kernel.rule
        kernels.add_row(*figures, rule, _computed(kernel, decisions))
    left_out = _left_out(len(inspection.kernels), most_rows)
    return Group(kernels, *left_out, "", _told(inspection))


def _computed(kernel: Kernel, decisions: bool) -> Text:
    """The nodes of a kernel, below them what it computes, and below that what was decided."""
    told = kernel.workload or kernel.name
    lines = [f"{kernel.layout} {told}" if kernel.layout else told]
    if decisions and kernel.decisions:
        lines.append(", ".join(f"{name}: {value}" for name, value in kernel.decisions.items()))
    below = "\n".join(map(printable, lines))
    return Text.assemble(printable(told_nodes(kernel.nodes)), "\n", (below, "dim"))


def _figure(value: float) -> str:
    """Two significant digits, never as a power of ten."""
    return f"{value:.2g}" if value >= 1e-3 else f"{value:.5f}".rstrip("0").rstrip(".")


def _share(one: InspectedKernel) -> float:
    return one.work_share if one.time_share is None else one.time_share


def _told(inspection: Inspection) -> Table:
    count = sum(one.kernel.calls for one in inspection.kernels)
    share = "multiply-adds, or of the bytes moved where that is more"
    rows = {
        "model": f"{inspection.name}, {plural(len(inspection.kernels), 'kernel')} called {count} "
        "times in a run",
        "compiled with": f"{_options(inspection.options)} for {inspection.profile}",
        "activations": told_memory(inspection.memory, inspection.options),
        "work": f"{inspection.gflop:.3g} GFLOP (a multiply-add counts as two)",
    }
    if inspection.run_us is not None:
        kernels_ms, runtime_us = inspection.kernels_us / 1e3, inspection.runtime_us or 0.0
        runtime = f", and {format_ms(runtime_us / 1e3)} in the runtime" if runtime_us else ""
        rows["a run"] = (
            f"{format_ms(inspection.run_us / 1e3)} on {plural(inspection.threads or 1, 'thread')} "
            f"of this machine; its kernels, timed one by one: {format_ms(kernels_ms)}{runtime}"
        )
        share = "time of the kernels"
    rows["share"] = f"of the {share}"
    for one in inspection.deviations:
        rows[f"from {one.against}"] = (
            f"largest relative error {one.max_relative_error:.1e}, root mean square "
            f"{one.rms_relative_error:.1e} (inputs: {one.inputs})"
        )
    return fact_table(rows)


def told_memory(memory: MemoryUse | None, options: CompileOptions) -> str:
    """The peak of the activations, beside its lower bound."""
    from edgetvm.compile.passes import plans_memory

    if memory is not None:
        least = format_bytes(memory.live_bytes_lower_bound)
        peak = format_bytes(memory.peak_activation_bytes)
        if least == peak:
            return f"{peak} at their peak, the least possible"
        return f"{peak} at their peak; {least} at least are needed at one time"
    if not plans_memory(options):
        return f"not planned at -O{options.opt_level}: each tensor is allocated by itself"
    return "not known: the model has branches or dynamic shapes"
