"""Numbers as people read them. The value's unit stands in its name; this only chooses the words."""

from __future__ import annotations

import math
import re


def format_ms(value_ms: float) -> str:
    """Milliseconds with three significant digits: `0.0874 ms`, `12.3 ms`, `1 340 ms`."""
    if not math.isfinite(value_ms) or value_ms == 0:
        return f"{value_ms:g} ms"
    if value_ms < 0:
        return f"-{format_ms(-value_ms)}"
    rounded = float(f"{value_ms:.3g}")
    if rounded >= 1000:
        return f"{value_ms:,.0f} ms".replace(",", " ")
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(rounded)))}f} ms"


def format_bytes(size_bytes: float) -> str:
    """Bytes in powers of 1024: `812 B`, `4.5 MB`."""
    for unit in ("B", "kB", "MB"):
        if round(size_bytes, 1) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GB"


def format_count(value: float) -> str:
    """A count in thousands, millions or billions: `4.5 M`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit * 0.99995:  # what rounds to 1000.0 of the next
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f}"


def format_duration(value_s: float) -> str:
    """Seconds as `0.4 s`, `12 s`, `3 min 05 s`."""
    if round(value_s, 1) < 10:
        return f"{value_s:.1f} s"
    whole_s = round(value_s)
    if whole_s < 100:
        return f"{whole_s} s"
    return f"{whole_s // 60} min {whole_s % 60:02} s"


_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]?)", re.ASCII)
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATIONS_S = {"s": 1, "m": 60, "h": 3600}


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `512M`, `1.5G` or `65536`, in powers of 1024.

    Raises:
        ValueError: it is none above 0.
    """
    return round(_amount(text.strip().removesuffix("B"), _SIZES))


def parse_duration_s(text: str) -> float:
    """Seconds of a time such as `90s`, `30m` or `2h`.

    Raises:
        ValueError: it is none above 0.
    """
    return _amount(text, _DURATIONS_S)


def _amount(text: str, units: dict[str, int]) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    amount = float(found[1]) * units.get(found[2].lower(), 0) if found else 0.0
    if not 0 < amount < math.inf:
        raise ValueError(f"{text!r} is no amount above 0 with a unit of {', '.join(units)}")
    return amount
