"""Where edgetvm's instructions go: kernel by kernel."""

from __future__ import annotations

from benchmarks.arm.edge import Program
from benchmarks.arm.emulator import Counted


def report(made: Program, found: Counted) -> str:
    """A table of the calls of one run, the largest first."""
    marks, *runs = found.runs
    total = sum(runs) - marks * len(runs)
    rows = sorted(
        ((count - marks, name) for count, name in zip(runs, made.calls, strict=True)), reverse=True
    )
    lines = [f"{total / 1e6:9.3f} million instructions in {len(rows)} calls"]
    for count, name in rows:
        share = count / total
        lines.append(f"{count / 1e6:9.3f} {share:6.1%}  {name} [{made.rules.get(name, '')}]")
    return "\n".join(lines)
