"""What `edgetvm quantize` shows: what stayed in float, what is lost, and whether it is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from edgetvm.boards import BoardProfile
    from edgetvm.farm import Board
    from edgetvm.workflow.quantising import Comparison, Figure, Quantized, Side

# The rest of the layers cost less still; JSON has all.
_MOST_LAYERS = 12


def quantized_document(made: Quantized, compared: Comparison | None) -> dict[str, Any]:
    """The result as JSON."""
    return {
        "model": made.name,
        "file": str(made.path),
        "recipe": str(made.recipe_path) if made.recipe_path else None,
        "method": made.method,
        "calibration_samples": made.calibration_samples,
        "judged_samples": made.judged_samples,
        "held_out": made.held_out,
        "max_loss_pct": made.max_loss_pct,
        "loss_pct": made.loss_pct,
        "layers": [
            {
                "name": one.layer.name,
                "operator": one.layer.operator,
                "error_pct": one.error_pct,
                "in_float": one.layer.name in made.in_float,
            }
            for one in made.layers
        ],
        "all_quantised": [asdict(one) for one in made.before],
        "figures": [asdict(one) for one in made.after],
        "source_bytes": made.source_bytes,
        "size_bytes": made.size_bytes,
        "compared": _comparison_document(compared) if compared else None,
    }


def _comparison_document(compared: Comparison) -> dict[str, Any]:
    sides = {"float": compared.original, "int8": compared.quantised}
    return {
        "device": compared.device,
        **{
            name: {
                "package_bytes": side.package_bytes,
                "p50_ms": side.p50_ms,
                "measurement": side.measurement.id if side.measurement else None,
            }
            for name, side in sides.items()
        },
        "speedup": compared.speedup,
        "figures": [asdict(one) for one in compared.figures],
    }


def next_command(made: Quantized, target: Board | BoardProfile) -> str:
    """What to do with the new model: measure it on the board, or package it where there is none."""
    from edgetvm.boards import BoardProfile

    verb = "package" if isinstance(target, BoardProfile) else "bench"
    device = "" if target.name == "local" else f" --device {target.name}"
    return f"edgetvm {verb} {made.recipe_path or made.path}{device}"


def quantized_view(
    made: Quantized, compared: Comparison | None, next_command: str
) -> RenderableType:
    """The result for people.

    Args:
        made, compared: it, and how it compares with float.
        next_command: told unless it loses more than was allowed.
    """
    parts: list[RenderableType] = []
    if made.max_loss_pct is not None:
        parts += [_layers(made), ""]
    parts += [_figures(made, compared), ""]
    if compared is not None:
        parts += [_sides(compared), ""]
    facts = _facts(made)
    if compared is None or compared.within(made.max_loss_pct):
        facts["next"] = next_command
    parts.append(fact_table(facts))
    return Group(*parts)


def _layers(made: Quantized) -> RenderableType:
    table = new_table("layer", "operator", "error alone", "", right=("error alone",))
    shown = [
        one
        for index, one in enumerate(made.layers)
        if index < _MOST_LAYERS or one.layer.name in made.in_float
    ]
    for one in shown:
        kept = "stays in float" if one.layer.name in made.in_float else "int8"
        add_row(table, one.layer.name, one.layer.operator, f"{one.error_pct or 0.0:.3g} %", kept)
    if len(shown) < len(made.layers):
        add_row(table, f"{len(made.layers) - len(shown)} more", "", "less", "int8")
    return table


def _figures(made: Quantized, compared: Comparison | None) -> RenderableType:
    columns = [("all int8", made.before), ("written", made.after)]
    if compared is not None and compared.figures:
        columns.append((f"on {compared.device}", compared.figures))
    names = [name for name, _ in columns]
    table = new_table("measure", "samples", "float", *names, right=("samples", "float", *names))
    for index, one in enumerate(made.after):
        original = "" if one.original is None else f"{one.original:.4g}"
        values = [f"{figures[index].value:.4g}" for _, figures in columns]
        add_row(table, one.name, str(one.samples), original, *values)
    losses = [f"{_loss(figures):.3g} %" for _, figures in columns]
    add_row(table, "loss", "", "", *losses)
    return table


def _loss(figures: Sequence[Figure]) -> float:
    from edgetvm.workflow.quantising import loss_pct

    return loss_pct(figures)


def _sides(compared: Comparison) -> RenderableType:
    table = new_table(f"on {compared.device}", "p50", "package", right=("p50", "package"))
    for name, side in (("float", compared.original), ("int8", compared.quantised)):
        add_row(table, name, _p50(side), format_bytes(side.package_bytes))
    return table


def _p50(side: Side) -> str:
    return "not measured" if side.p50_ms is None else format_ms(side.p50_ms)


def _facts(made: Quantized) -> dict[str, object]:
    held = "none of them to calibrate on" if made.held_out else "the same"
    sizes = f"{format_bytes(made.source_bytes)} → {format_bytes(made.size_bytes)}"
    facts: dict[str, object] = {
        "calibrated": f"by {made.method}, on {plural(made.calibration_samples, 'sample')}",
        "judged": f"on {plural(made.judged_samples, 'sample')}, {held}",
        "in float": f"{len(made.in_float)} of {plural(len(made.layers), 'layer')}",
        "file": f"{made.path} ({sizes})",
    }
    if made.recipe_path is not None:
        facts["recipe"] = made.recipe_path
    return facts
