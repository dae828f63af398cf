"""What `edgetvm estimate` prints: a document for `--json`, tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from edgetvm.base.units import format_bytes, format_count, format_ms
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from edgetvm.boards.profile import BoardProfile
    from edgetvm.estimate.calibration import Calibration
    from edgetvm.estimate.estimating import Estimate, KernelEstimate, ModelEstimate

MOST_ROWS = 40
# How an estimated latency stands to a deadline: by the two ends of its range.
_ENOUGH, _PERHAPS, _TOO_SLOW = "enough", "too close to tell", "too slow"
_TOO_SMALL = "too little memory"
_LABEL = (
    "Estimated for one core of each board at its profile's clock; nothing was measured. The range "
    "is the error that estimates for that core have, or are assumed to have."
)


def _verdict(found: ModelEstimate, deadline_ms: float) -> str:
    whole = found.whole
    if (found.peak_memory_bytes or 0) > found.profile.memory_bytes:
        return _TOO_SMALL
    if whole.least_ms > deadline_ms:
        return _TOO_SLOW
    return _ENOUGH if whole.most_ms <= deadline_ms else _PERHAPS


def estimates_document(found: Sequence[ModelEstimate], deadline_ms: float | None) -> dict[str, Any]:
    """`edgetvm estimate --json`."""
    return {
        "what": "estimated, not measured",
        "deadline_ms": deadline_ms,
        "estimates": [
            {
                "model": one.model,
                "profile": one.profile.name,
                "clock_mhz": one.profile.clock_mhz,
                "error_factor": one.core.error,
                "source": one.core.source,
                **_figures(one.whole),
                "size_bytes": one.size_bytes,
                "peak_memory_bytes": one.peak_memory_bytes,
                "verdict": None if deadline_ms is None else _verdict(one, deadline_ms),
                "kernels": [
                    {
                        "name": kernel.name,
                        "workload": kernel.workload,
                        "calls": kernel.calls,
                        **_figures(kernel.estimate),
                    }
                    for kernel in one.kernels
                ],
            }
            for one in found
        ],
    }


def _figures(estimate: Estimate) -> dict[str, Any]:
    return {
        "estimated_ms": estimate.ms,
        "least_ms": estimate.least_ms,
        "most_ms": estimate.most_ms if math.isfinite(estimate.most_ms) else None,
        "estimated_cycles": estimate.cost.cycles,
        "instructions": estimate.cost.instructions,
        "stall_share": estimate.stall_share,
        "spills": estimate.is_spilled,
    }


def estimates_view(
    found: Sequence[ModelEstimate], deadline_ms: float | None, most_rows: int | None = MOST_ROWS
) -> RenderableType:
    """`edgetvm estimate`: one board kernel by kernel, several beside each other."""
    if len(found) == 1 and deadline_ms is None:
        return _one(found[0], most_rows)
    return _several(found, deadline_ms)


def _one(found: ModelEstimate, most_rows: int | None) -> RenderableType:
    table = new_table(
        "kernel", "calls", "estimated", "range", "share", "stalls",
        right=("calls", "estimated", "range", "share", "stalls"), folded=("kernel",),
    )  # fmt: skip
    ordered = sorted(found.kernels, key=lambda one: -one.estimate.cost.cycles)
    whole = found.whole
    for kernel in ordered[:most_rows]:
        add_row(table, *_row(kernel, whole))
    left = len(ordered) - len(ordered[:most_rows])
    left_out = [f"… and {left} more: --all shows them"] if left else []
    return Group(table, *left_out, "", fact_table(_facts(found)))


def _row(kernel: KernelEstimate, whole: Estimate) -> list[str]:
    one = kernel.estimate
    share = one.cost.cycles / whole.cost.cycles if whole.cost.cycles else 0.0
    return [
        kernel.name,
        str(kernel.calls),
        format_ms(one.ms),
        _range(one),
        f"{share:.1%}",
        f"{one.stall_share:.0%}",
    ]


def _range(estimate: Estimate) -> str:
    if not math.isfinite(estimate.most_ms):
        return f"over {format_ms(estimate.ms)}: spills"
    return f"{format_ms(estimate.least_ms)} to {format_ms(estimate.most_ms)}"


def _facts(found: ModelEstimate) -> dict[str, str]:
    whole = found.whole
    facts = {
        "model": found.model,
        "board": f"{found.profile.name} ({found.profile.description}), one core at "
        f"{found.profile.clock_mhz} MHz",
        "estimated": f"{format_ms(whole.ms)}; nothing was measured",
        "range": _range(whole),
        "error": f"a factor of {found.core.error:g}, known or assumed",
        **({"priced by": found.core.source} if found.core.source else {}),
        "cycles": f"{format_count(whole.cost.cycles)}, {whole.stall_share:.0%} waiting for memory",
        "instructions": format_count(whole.cost.instructions),
        "size": format_bytes(found.size_bytes),
        "peak memory": _memory(found),
    }
    if found.spilled:
        facts["take longer"] = f"these spill registers: {', '.join(found.spilled)}"
    return facts


def _memory(found: ModelEstimate) -> str:
    known = found.peak_memory_bytes
    return "not known" if known is None else format_bytes(known)


def _several(found: Sequence[ModelEstimate], deadline_ms: float | None) -> RenderableType:
    columns = ["board", "estimated", "range", "stalls", "size", "peak memory"]
    columns += [] if deadline_ms is None else [f"for {format_ms(deadline_ms)}"]
    table = new_table(*columns, right=("estimated", "range", "stalls", "size", "peak memory"))
    for one in found:
        whole = one.whole
        cells = [one.profile.name, format_ms(whole.ms), _range(whole), f"{whole.stall_share:.0%}"]
        cells += [format_bytes(one.size_bytes), _memory(one)]
        cells += [] if deadline_ms is None else [_verdict(one, deadline_ms)]
        add_row(table, *cells)
    return Group(f"{found[0].model}:", "", table, "", _LABEL)


def calibration_document(found: Calibration) -> dict[str, Any]:
    """`edgetvm estimate --calibrate --json`."""
    return asdict(found)


def calibration_view(found: Calibration, profile: BoardProfile) -> RenderableType:
    """`edgetvm estimate --calibrate`."""
    facts = {
        "board": f"{found.board}, estimated as {found.profile}",
        "kernels": f"{found.kernels} measured",
        "clock": f"{found.clock_mhz:.0f} MHz, of {profile.clock_mhz} in the profile",
        "cycles a miss": "; ".join(
            f"{level}: {one.random:g}, foreseen {one.foreseen:g}"
            for level, one in zip(_levels(len(found.misses)), found.misses, strict=True)
        ),
        "error before": f"a factor of {found.error_before:.2f}",
        "error now": f"a factor of {found.error:.2f}, of each kernel with the others fitted",
    }
    return fact_table(facts)


def _levels(count: int) -> list[str]:
    """Who has the line, from level 2 on."""
    return [*(f"level {at}" for at in range(2, count + 1)), "memory"]
