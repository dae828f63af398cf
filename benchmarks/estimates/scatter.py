"""Estimates against measurements, as a picture of two logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_SIZE, _MARGIN, _RADIUS = 560, 64, 3.6
_COLOURS = {"fitted": "#9a9a9a", "held out": "#1f5fbf", "spills, not priced": "#c2410c"}


@dataclass(frozen=True)
class Dot:
    """A kernel: cycles, and one of `fitted`, `held out`, `spills, not priced`."""

    name: str
    measured: float
    estimated: float
    kind: str


def picture(dots: Sequence[Dot], title: str) -> str:
    """An SVG that browsers show, light and dark."""
    low = math.floor(math.log10(min(min(one.measured, one.estimated) for one in dots)))
    high = math.ceil(math.log10(max(max(one.measured, one.estimated) for one in dots)))

    def at(value: float) -> float:
        return _MARGIN + (math.log10(value) - low) / (high - low) * (_SIZE - 2 * _MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>',
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="#ffffff"/>',
    ]
    for power in range(low, high + 1):
        place = at(10.0**power)
        parts += _grid(place, f"10<tspan dy='-5' font-size='9'>{power}</tspan>")
    for factor, dash in ((1.0, ""), (1.2, "4 3"), (1 / 1.2, "4 3")):
        parts.append(_line(low, high, factor, dash, at))
    for kind, colour in _COLOURS.items():
        parts += [_dot(one, colour, at) for one in dots if one.kind == kind]
    parts += _legend()
    middle = _SIZE / 2
    parts.append(f'<text x="{middle}" y="{_SIZE - 16}" text-anchor="middle">measured cycles</text>')
    parts.append(
        f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">'
        "estimated cycles</text></svg>"
    )
    return "\n".join(parts) + "\n"


def _grid(place: float, label: str) -> list[str]:
    end, up = _SIZE - _MARGIN, _SIZE - place
    return [
        f'<path d="M{place:.1f} {_MARGIN}V{end}M{_MARGIN} {up:.1f}H{end}" stroke="#e2e2e2"/>',
        f'<text x="{place:.1f}" y="{end + 18}" text-anchor="middle">{label}</text>',
        f'<text x="{_MARGIN - 8}" y="{up + 4:.1f}" text-anchor="end">{label}</text>',
    ]


def _line(low: int, high: int, factor: float, dash: str, at) -> str:  # type: ignore[no-untyped-def]
    begin, end = 10.0**low * max(1, 1 / factor), 10.0**high / max(1, factor)
    return (
        f'<path d="M{at(begin):.1f} {_SIZE - at(begin * factor):.1f}'
        f'L{at(end):.1f} {_SIZE - at(end * factor):.1f}" stroke="#555" fill="none" '
        f'stroke-dasharray="{dash}"/>'
    )


def _dot(one: Dot, colour: str, at) -> str:  # type: ignore[no-untyped-def]
    return (
        f'<circle cx="{at(one.measured):.1f}" cy="{_SIZE - at(one.estimated):.1f}" r="{_RADIUS}" '
        f'fill="{colour}" fill-opacity="0.75"><title>{escape(one.name)}</title></circle>'
    )


def _legend() -> list[str]:
    found = []
    for row, (kind, colour) in enumerate(_COLOURS.items()):
        y = _MARGIN + 14 + 18 * row
        found.append(f'<circle cx="{_MARGIN + 14}" cy="{y - 4}" r="{_RADIUS}" fill="{colour}"/>')
        found.append(f'<text x="{_MARGIN + 24}" y="{y}">{kind}</text>')
    return found
