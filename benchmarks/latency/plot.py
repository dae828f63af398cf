"""The ratios as a drawing: one line for each model, one dot for each engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.latency.engines import ENGINES
from benchmarks.latency.results import Row
from edgetvm.report.charts.scale import Scale

_COLOURS = {
    "edgetvm": "#c2410c",
    "edgetvm-tuned": "#15803d",
    "onnxruntime": "#2563eb",
    "litert": "#0891b2",
    "openvino": "#7c3aed",
    "ncnn": "#a16207",
    "mnn": "#be185d",
    "tvm": "#6b7280",
}
_WIDTH, _LEFT, _RIGHT = 900, 200, 870
_LINE, _TOP = 18, 64
_MOST_RATIO = 20.0


def drawing(rows: Sequence[Row], title: str) -> str:
    """SVG text. Latency over the fastest peer's, logarithmic; beyond 20 at the edge."""
    ratios = [ratio for row in rows for ratio in _ratios(row).values()]
    low = min([0.5, *ratios])
    high = min(_MOST_RATIO, max([2.0, *ratios]))
    scale = Scale(low, high, _LEFT, _RIGHT, log=True)
    bottom = _TOP + _LINE * len(rows)
    parts = [_text(10, 18, title, 'font-weight="bold"'), *_legend()]
    labels = zip(scale.ticks(), scale.labels(), strict=True)
    for x, label in ((scale(tick), label) for tick, label in labels):
        parts.append(f'<path stroke="#d1d5db" d="M{x:.1f} {_TOP - 8}V{bottom}"/>')
        parts.append(_text(x, bottom + 16, label, 'text-anchor="middle"'))
    parts.append(f'<path stroke="#111827" d="M{scale(1):.1f} {_TOP - 8}V{bottom}"/>')
    for index, row in enumerate(rows):
        y = _TOP + _LINE * index + 6
        parts.append(_text(_LEFT - 10, y + 4, f"{row.model} {row.threads}", 'text-anchor="end"'))
        for engine, ratio in reversed(_ratios(row).items()):
            parts.append(
                f'<circle cx="{scale(ratio):.1f}" cy="{y}" r="{5 if "edge" in engine else 3.5}" '
                f'fill="{_COLOURS[engine]}"><title>{engine} {ratio:.2f}</title></circle>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 28}" '
        f'font-family="system-ui,sans-serif" font-size="12" fill="#374151">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'
    )


def _ratios(row: Row) -> dict[str, float]:
    """By engine, of those that have a time, edgetvm first."""
    found = {engine.name: row.ratio(engine.name) for engine in ENGINES}
    return {name: ratio for name, ratio in found.items() if ratio and math.isfinite(ratio)}


def _legend() -> list[str]:
    parts = []
    for index, engine in enumerate(ENGINES):
        x = 14 + index * 108
        parts.append(f'<circle cx="{x}" cy="38" r="4" fill="{_COLOURS[engine.name]}"/>')
        parts.append(_text(x + 8, 42, engine.name))
    return parts


def _text(x: float, y: float, text: str, extra: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {extra}>{escape(text)}</text>'
