"""The records that go between the parts of the benchmark, beside those of the peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgetvm.measure.peers.case import Task


@dataclass(frozen=True)
class OwnTask(Task):
    """A task of an engine of the benchmark's own.

    Attributes:
        tuning_database: file of the trials that `edgetvm-tuned` takes schedules from.
    """

    tuning_database: Path | None = None


@dataclass
class Timings:
    """What was measured of one worker.

    Attributes:
        samples_ns: of turns in which nothing else ran.
        disturbed_ns: of the other turns.
        error: how far its answers lie from the expected ones.
        why: the reason that it has no samples.
    """

    task: Task
    facts: dict[str, Any] = field(default_factory=dict)
    samples_ns: list[int] = field(default_factory=list)
    disturbed_ns: list[int] = field(default_factory=list)
    error: float | None = None
    why: str = ""
