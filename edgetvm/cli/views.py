"""What commands print: documents for `--json`, tables for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgetvm.base.units import format_bytes, format_count, format_ms
from edgetvm.base.words import plural
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgetvm.base.cache import CacheEntry
    from edgetvm.base.errors import EdgetvmError
    from edgetvm.boards import BoardProfile
    from edgetvm.models import Model, Signature
    from edgetvm.models.correctness import Correctness
    from edgetvm.models.model import TensorSpec
    from edgetvm.recipes import Recipe
    from edgetvm.workflow.doctor import Finding
    from edgetvm.workflow.running import RunResult


def tensor_rows(signature: Signature) -> dict[str, object]:
    """A row for each input, output and state."""
    rows: dict[str, object] = {}
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for spec in specs:
            rows[f"{kind} {spec.name}"] = _tensor(spec)
    for state in signature.states:
        rows[f"state {state.input}"] = f"takes {state.output} of the run before"
    return rows


def _tensor(spec: TensorSpec) -> str:
    told = f"{spec.dtype}[{', '.join(map(str, spec.shape))}]"
    if spec.quantisation is None:
        return told
    scale, zero_point = spec.quantisation.scale, spec.quantisation.zero_point
    if spec.dtype.startswith("float"):
        return f"{told} in steps of {scale:.6g}"
    if zero_point == 0:
        return f"{told}, {scale:.6g} * q"
    return f"{told}, {scale:.6g} * (q - {zero_point})".replace("- -", "+ ")


def correctness_words(correctness: Correctness | None) -> str:
    """What a comparison with the reference gave."""
    if correctness is None:
        return "not checked"
    whole = correctness.float32_error
    in_float32 = "" if whole is None else f"; compiled in float32: {whole:.1e}"
    word = "agrees with" if correctness.passed else "DIFFERS from"
    rms = correctness.rms_relative_error
    on_the_whole = "" if rms is None else f"; root mean square {rms:.1e}"
    error = "no error at all"
    if correctness.max_abs_error:
        error = (
            f"largest error {correctness.max_abs_error:.2g} ({correctness.max_relative_error:.1e} "
            f"of the largest value; output {correctness.worst_output})"
        )
    return f"{word} {correctness.reference}: {error}{on_the_whole}{in_float32}"


def model_document(model: Model, checks: Sequence[Correctness]) -> dict[str, Any]:
    """`edgetvm import --json`."""
    return {
        "name": model.name,
        "signature": asdict(model.signature),
        "operators": dict(model.operators),
        "parameter_count": model.parameter_count,
        "parameters": dict(model.parameters),
        "multiply_adds": dict(model.multiply_adds),
        "quantised": [asdict(one) for one in model.quantised],
        "provenance": asdict(model.provenance),
        "checks": [asdict(one) for one in checks],
    }


def model_view(model: Model, checks: Sequence[Correctness]) -> RenderableType:
    """`edgetvm import`."""
    operators = sorted(model.operators.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = {
        "model": f"{model.name} ({model.provenance.importer})",
        **tensor_rows(model.signature),
        "parameters": _by_dtype(model.parameters),
        "multiply-adds": _by_dtype(model.multiply_adds),
        "quantised": ", ".join(map(str, model.quantised)) or "nothing",
        "operators": ", ".join(f"{name} {count}" for name, count in operators),
        "changed": "; ".join(model.provenance.changes) or "nothing",
        **{
            f"on {check.inputs}": f"{correctness_words(check)}, {plural(check.samples, 'run')}"
            for check in checks
        },
    }
    return fact_table(rows)


def _by_dtype(counts: Mapping[str, int]) -> str:
    """`2.9 M (int8 2.7 M, float32 0.2 M)`."""
    parts = sorted(counts.items(), key=lambda entry: -entry[1])
    total = format_count(sum(counts.values()))
    if len(parts) < 2:
        return " ".join([total, *(dtype for dtype, _ in parts)])
    told = ", ".join(f"{dtype} {format_count(count)}" for dtype, count in parts)
    return f"{total} ({told})"


def run_document(result: RunResult, path: Path | None, top: int = 0) -> dict[str, Any]:
    """`edgetvm run --json`: outputs are described; `--output` keeps them whole."""
    return {
        "duration_ns": result.duration_ns,
        "outputs": {
            name: {
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "min": float(array.min()) if array.size else None,
                "max": float(array.max()) if array.size else None,
                "mean": float(array.mean()) if array.size else None,
                "top": [[place, float(array.reshape(-1)[place])] for place in _top(array, top)],
            }
            for name, array in result.outputs.items()
        },
        "path": str(path) if path else None,
    }


def _top(array: NDArray[np.generic], count: int) -> list[int]:
    """Where an output's largest elements lie, counted row by row, the largest first."""
    flat = -array.reshape(-1).astype("float64")
    return [int(place) for place in flat.argsort(kind="stable")[:count]]


def run_view(result: RunResult, path: Path | None, top: int = 0) -> RenderableType:
    """`edgetvm run`."""
    table = new_table("output", "tensor", "min", "max", "mean", right=("min", "max", "mean"))
    outputs = run_document(result, path, top)["outputs"]
    for name, entry in outputs.items():
        tensor = f"{entry['dtype']}[{', '.join(map(str, entry['shape']))}]"
        figures = [
            "—" if entry[key] is None else f"{entry[key]:.5g}" for key in ("min", "max", "mean")
        ]
        add_row(table, name, tensor, *figures)
    parts: list[RenderableType] = [table, ""]
    if top:
        largest = new_table("output", "index", "value", right=("index", "value"))
        for name, entry in outputs.items():
            for place, value in entry["top"]:
                add_row(largest, name, str(place), f"{value:.5g}")
        parts += [largest, ""]
    facts: dict[str, object] = {"this run": format_ms(result.duration_ns / 1e6)}
    if path is not None:
        facts["written to"] = path
    return Group(*parts, fact_table(facts))


def failure_document(failures: Mapping[str, EdgetvmError]) -> list[dict[str, Any]]:
    """Models that could not be measured, in `edgetvm bench --json`."""
    from edgetvm.farm.jobs import ending_of

    return [
        {
            "model": name,
            "error": str(error),
            "exit_code": error.exit_code,
            "ending": ending_of(error),
        }
        for name, error in failures.items()
    ]


def profiles_view(profiles: Sequence[BoardProfile]) -> RenderableType:
    """`edgetvm profiles list`."""
    table = new_table("name", "architecture", "core", "cores", "lanes", "memory", "board")
    for profile in profiles:
        add_row(
            table,
            profile.name,
            profile.architecture,
            profile.cpu,
            str(profile.cores),
            str(profile.vector_lanes),
            format_bytes(profile.memory_bytes),
            profile.description + (" (emulated)" if profile.emulated else ""),
        )
    return table


def recipes_view(recipes: Sequence[Recipe]) -> RenderableType:
    """`edgetvm recipes list`."""
    table = new_table("name", "task", "description")
    for recipe in recipes:
        add_row(table, recipe.name, recipe.task, recipe.description)
    return table


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    """`edgetvm recipes show --json`."""
    from edgetvm.recipes import Recipe as RecipeRecord

    document: dict[str, Any] = TypeAdapter(RecipeRecord).dump_python(
        recipe, mode="json", exclude_none=True
    )
    return document


def record_view(record: Mapping[str, Any]) -> RenderableType:
    """Any record: a key and its value on each line."""
    return fact_table({key: _plain(value) for key, value in record.items()})


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(part) for part in value) or "none"
    return str(value)


def cache_document(entries: Sequence[CacheEntry]) -> list[dict[str, Any]]:
    """`edgetvm cache list --json`."""
    return [{**asdict(entry), "path": str(entry.path)} for entry in entries]


def cache_view(entries: Sequence[CacheEntry]) -> RenderableType:
    """`edgetvm cache list`."""
    table = new_table("kind", "key", "size", "of", right=("size",))
    for entry in entries:
        size = format_bytes(entry.size_bytes)
        add_row(table, entry.kind, entry.key, size, _origin(entry.description))
    total_bytes = sum(entry.size_bytes for entry in entries)
    return Group(table, "", f"{len(entries)} entries, {format_bytes(total_bytes)}")


def _origin(description: str) -> str:
    """The first names in what a cache entry depends on: model and profile, file, or platform."""
    told = json.loads(description or "{}")
    profile = told.get("profile")
    names = (
        told.get("name") or told.get("file"),
        profile.get("name") if isinstance(profile, dict) else profile,
        *told.get("platform", ())[:1],
    )
    return ", ".join(str(name) for name in names if name) or "—"


def doctor_view(findings: Sequence[Finding]) -> RenderableType:
    """`edgetvm doctor`."""
    marks = {"fine": ("✓", "green"), "absent": ("-", "yellow"), "failed": ("✗", "red")}
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    for finding in findings:
        mark, colour = marks[finding.state]
        text = Text(finding.found)
        if finding.mend:
            text.append(f"\n{finding.mend}", style=colour)
        table.add_row(Text(mark, style=colour), Text(finding.what), text)
    return table
