"""The scenarios, and how much each preset asks of them.

Sources: MLPerf's inference rules, "Scenarios"; the presets are those of MLPerf Mobile
(mobile_app_open, flutter/assets/tasks.pbtxt), but for `glance`, a first look: as many queries as
an estimate of p90 needs, and a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic.dataclasses import dataclass

Scenario = Literal[
    "single-stream", "multi-stream", "offline", "server", "cold-start", "stream", "real-time"
]
Preset = Literal["normal", "quick", "rapid", "glance"]

# What `edgetvm bench --scenario` can be asked for; the data of a recipe decides about streams.
SCENARIOS: tuple[Scenario, ...] = (
    "single-stream",
    "multi-stream",
    "offline",
    "server",
    "cold-start",
)


@dataclass(frozen=True)
class Rule:
    """When there is enough.

    Attributes:
        least_count: of valid queries.
        least_s: that valid windows last together.
        most_s: begin no window after so long.
    """

    least_count: int
    least_s: float
    most_s: float


PRESETS: Mapping[Preset, Rule] = {
    "normal": Rule(1024, 60.0, 600.0),
    "quick": Rule(128, 10.0, 60.0),
    "rapid": Rule(64, 6.0, 60.0),
    "glance": Rule(64, 1.0, 10.0),
}
# Offline every query is one sample, and MLPerf wants 24,576 of them; the others in proportion.
_OFFLINE_SAMPLES: Mapping[Preset, int] = {
    "normal": 24_576,
    "quick": 3_072,
    "rapid": 1_536,
    "glance": 256,
}
_COLD_STARTS: Mapping[Preset, int] = {"normal": 64, "quick": 20, "rapid": 10, "glance": 5}

# Queries wait for each other there: latencies are spread by nature.
WITH_WAITING: frozenset[Scenario] = frozenset({"server"})

# The percentile that early stopping is told of.
TOLD_PERCENTILES: Mapping[Scenario, float] = {
    "single-stream": 0.9,
    "multi-stream": 0.99,
    "server": 0.99,
    "stream": 0.99,
    "real-time": 0.99,
}


def rule_of(scenario: Scenario, preset: Preset) -> Rule:
    """What a preset asks of a scenario."""
    rule = PRESETS[preset]
    if scenario == "offline":
        return Rule(_OFFLINE_SAMPLES[preset], rule.least_s, rule.most_s)
    if scenario == "cold-start":
        return Rule(_COLD_STARTS[preset], 0.0, rule.most_s)
    return rule
