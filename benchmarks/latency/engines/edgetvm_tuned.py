"""edgetvm with the schedules of a tuning database, which holds only for the cores of its trials.

With fewer cores rules take other defaults and offer other decisions: a choice made on all of them
would be read as another one.
"""

from __future__ import annotations

from benchmarks.latency.engines.edgetvm_ import load
from edgetvm.measure.peers.case import Case

__all__ = ["load", "settings"]


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """One, on all cores of this machine: trials are made on them."""
    from edgetvm.boards.profile import load_profile

    return ("",) if threads == load_profile("local").cores else ()
