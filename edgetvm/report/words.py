"""How reports spell names, counts and errors. Names come from files of others: none is trusted."""

from __future__ import annotations

import math

from edgetvm.base.words import printable
from edgetvm.models.correctness import Correctness

NONE = "—"
_LONGEST_NAME = 64


def shown(text: str, longest: int = _LONGEST_NAME) -> str:
    """`printable` text, its middle left out where it is longer than `longest`."""
    clean = printable(text) or "(unnamed)"
    if len(clean) <= longest:
        return clean
    head = (longest - 1) // 2
    return f"{clean[:head]}…{clean[head + 1 - longest :]}"


def format_error(value: float) -> str:
    """A numerical error with two digits: `1.2e-06`."""
    if math.isnan(value):
        return "not a number"
    return "infinite" if math.isinf(value) else f"{value:.1e}"


def told_error(correctness: Correctness) -> str:
    """The error of answers; of a quantised model the root mean square first, then the worst."""
    worst = format_error(correctness.max_relative_error)
    rms = correctness.rms_relative_error
    return worst if rms is None else f"{format_error(rms)} rms, worst {worst}"


def format_figure(value: float) -> str:
    """A figure of unknown unit with four significant digits."""
    if math.isnan(value):
        return "not a number"
    if value == int(value) if math.isfinite(value) else False:
        return f"{value:.0f}" if abs(value) < 1e6 else f"{value:.4g}"
    return f"{value:.4g}"


def format_factor(value: float | None) -> str:
    """A real-time factor: below 1, the device keeps up with the signal."""
    return NONE if value is None else f"{value:.3g}"


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
