"""Looks at a board, and windows between two of them, whose figures are round."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgetvm.measure.conditions import Conditions
from edgetvm.measure.windows import Window

S = 10**9

QUIET = Conditions(
    clock_ns=100 * S,
    governors=("performance",),
    frequencies_khz=(1_500_000,) * 4,
    max_frequencies_khz=(1_500_000,) * 4,
    temperature_c=52.0,
    throttled=0,
    throttle_events=None,
    load_average=0.1,
    runnable=1,
    voluntary_switches=10,
    involuntary_switches=1,
    own_cpu_ns=2 * S,
    waited_ns=1000,
    busy_cpu_ns=50 * S,
    stolen_cpu_ns=0,
    cores=(0, 1, 2, 3),
    threads=4,
    energy_uj={},
)


def window(count: int = 1, before: dict[str, Any] | None = None, **after: Any) -> Window:
    """A second in which four cores did nothing but run the model, but for what is named."""
    first = replace(QUIET, **(before or {}))
    ran = {
        "clock_ns": first.clock_ns + S,
        "own_cpu_ns": first.own_cpu_ns + 4 * S,
        "busy_cpu_ns": first.busy_cpu_ns + 4 * S,
    }
    second = replace(first, **(ran | after))
    return Window(count, S, S, S + 2_000_000, first, second)
