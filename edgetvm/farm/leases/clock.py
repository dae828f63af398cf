"""The farm's own time. Clocks that people set jump; this one only goes on, or is a little late.

It stands in the database and is carried on by whoever has a turn: by the time since the turn
before, on a clock that all who share the database can read. For SQLite that is the kernel's clock
since boot. For PostgreSQL it is the server's, of which a jump is not believed: a step is `MOST_S`
at most.
After a reboot, or while nobody had a turn for long, the farm's clock has stood still. Leases are
then held longer than they need be, and never shorter.
"""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Connection, text

from edgetvm.farm.leases.tables import FARM

# The daemon has a turn every second.
MOST_S = 5.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_s(connection: Connection) -> float:
    """The farm's time as one who only reads knows it."""
    row = connection.execute(FARM.select()).one()
    anchor, source_s = _source(connection)
    return float(row.now_s) + _step_s(row.anchor, row.source_s, anchor, source_s)


def carried_on_s(connection: Connection) -> float:
    """The farm's time, and keep it. Inside a turn only."""
    row = connection.execute(FARM.select()).one()
    anchor, source_s = _source(connection)
    time_s = float(row.now_s) + _step_s(row.anchor, row.source_s, anchor, source_s)
    connection.execute(FARM.update().values(now_s=time_s, anchor=anchor, source_s=source_s))
    return time_s


def _source(connection: Connection) -> tuple[str, float]:
    """Which clock is read, and what it says."""
    if connection.dialect.name == "sqlite":
        return _BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME)
    told = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return "server", float(told)


def _step_s(anchor: str, source_s: float, new_anchor: str, new_source_s: float) -> float:
    if anchor != new_anchor:
        return 0.0
    step_s = max(0.0, new_source_s - source_s)
    return step_s if anchor != "server" else min(step_s, MOST_S)
