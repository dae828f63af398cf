"""The tables on stdout."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.latency.engines import Engine
from benchmarks.latency.machine import Roof
from benchmarks.latency.results import Result, Row

_NAME, _CELL = 22, 9


def _ms(value: float) -> str:
    """Three digits, and no more decimals than nanoseconds have."""
    if value >= 100:
        return f"{value:.0f}"
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{min(4, max(0, digits))}f}"


def _cell(result: Result | None, asked: bool) -> str:
    if result is None or result.latency is None:
        return "failed" if asked else "-"
    return _ms(result.latency.median_ms) + ("~" if result.disturbed else "")


def heading(engines: Sequence[Engine]) -> str:
    """Above the rows."""
    names = "".join(f"{engine.short:>{_CELL}}" for engine in engines)
    return (
        f"{'median ms':<{_NAME}} thr{names}   {'p90':>{_CELL - 3}}{'min':>{_CELL}}"
        f"{'ratio':>7}  fastest peer"
    )


def text(row: Row, engines: Sequence[Engine]) -> str:
    """One model and number of threads: each engine's median, then edgetvm's p90, min and ratio."""
    asked = {one.engine for one in row.results}
    cells = "".join(f"{_cell(row.best(e.name), e.name in asked):>{_CELL}}" for e in engines)
    own, peer, ratio = row.best("edgetvm"), row.fastest_peer, row.ratio("edgetvm")
    p90, least = (
        (_ms(own.latency.p90_ms), _ms(own.latency.min_ms)) if own and own.latency else ("-", "-")
    )
    name = "" if peer is None else f"{peer.engine} {peer.setting}".rstrip()
    shown = "-" if ratio is None else f"{ratio:.2f}"
    return (
        f"{row.model:<{_NAME}}{row.threads:>4}{cells}   {p90:>{_CELL - 3}}{least:>{_CELL}}"
        f"{shown:>7}  {name}"
    )


def failures(rows: Sequence[Row]) -> list[str]:
    """Why engines have no figure, once for each reason."""
    reasons: dict[str, list[int]] = {}
    for row in rows:
        for one in row.results:
            if one.latency is None:
                title = f"{one.engine} ({one.setting})" if one.setting else one.engine
                reason = f"{row.model}: {title}: {one.why or 'no samples'}"
                reasons.setdefault(reason, []).append(row.threads)
    return [f"{reason} [{', '.join(map(str, threads))} thr]" for reason, threads in reasons.items()]


def roofline(rows: Sequence[Row], roofs: Sequence[Roof]) -> list[str]:
    """What each model reaches of what the machine can do."""
    by_threads = {roof.threads: roof for roof in roofs}
    lines = [
        f"roofline: {roof.threads} thread{'s' if roof.threads > 1 else ''}: "
        f"{roof.gflops:.0f} GFLOP/s float32, {roof.dram_gbs:.0f} GB/s from DRAM"
        for roof in roofs
    ]
    lines.append(
        f"{'GFLOP/s (of that peak)':<{_NAME}} thr{'MFLOP':>9}{'edgetvm':>15}{'fastest peer':>15}"
    )
    for row in rows:
        work, peer, own = row.multiply_adds, row.fastest_peer, row.best("edgetvm")
        if not work:
            continue
        cells = "".join(
            f"{_rate(one, 2 * work, by_threads[row.threads]):>15}" for one in (own, peer)
        )
        lines.append(f"{row.model:<{_NAME}}{row.threads:>4}{2 * work / 1e6:9.1f}{cells}")
    return lines


def _rate(result: Result | None, operations: int, roof: Roof) -> str:
    if result is None or result.latency is None:
        return "-"
    gflops = operations / result.latency.median_ms / 1e6
    return f"{gflops:.1f} ({gflops / roof.gflops:.0%})"
