"""When a search ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """When a search ends; it always does when nothing is left to try.

    Attributes:
        trials: measured at most, failed ones included; None for no limit.
        time_s: that it may take; None for no limit.
        until_flat: end when no task gains any more; without it, flat tasks get the rest.
    """

    trials: int | None = None
    time_s: float | None = None
    until_flat: bool = True

    def __str__(self) -> str:
        parts = []
        if self.trials is not None:
            parts.append(f"{self.trials} trials")
        if self.time_s is not None:
            parts.append(f"{self.time_s:g} s")
        if self.until_flat:
            parts.append("until flat")
        return ", ".join(parts)
