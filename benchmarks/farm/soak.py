"""A fleet under faults for hours; whatever of its daemon or boards grows meanwhile is a leak.

Rounds of faults and jobs alternate with rest, in which all is counted: what the daemon has open,
its threads, processes, memory and temporary files, and what sessions left on the boards.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.farm import fleet_faults
from benchmarks.farm.faults import Found
from benchmarks.farm.fleet import Fleet, files_on, sessions_on

# What may come on top from one rest to another without being a leak: a connection that is just
# made anew, and memory that Python and SQLite keep for the next time.
ALLOWED: Mapping[str, int] = {
    "open files": 3,
    "threads": 3,
    "processes": 0,
    "memory_kb": 8192,
    "temporary files": 0,
    "files on boards": 0,
    "sessions on boards": 2,
}
# All is new in the first rounds: caches fill, and each fault comes for the first time.
_FIRST = 2
# A new daemon counts from nothing.
_WITHOUT = ("daemon killed",)

Counts = Mapping[str, int]


def counted(fleet: Fleet, daemon: psutil.Process) -> Counts:
    """What there is of each kind in `ALLOWED`; the fleet is at rest."""
    children = daemon.children(recursive=True)
    return {
        "open files": daemon.num_fds(),
        "threads": daemon.num_threads(),
        "processes": len(children),
        "memory_kb": daemon.memory_info().rss // 1024,
        "temporary files": len(fleet.temporary_files()),
        "files on boards": sum(len(files_on(board)) for board in fleet.boards),
        "sessions on boards": sum(map(sessions_on, fleet.boards)),
    }


def growth(rests: Sequence[Counts]) -> list[str]:
    """What grew: the least of the last third is more than the most of the first one."""
    settled = rests[_FIRST:]
    third = max(1, len(settled) // 3)
    if len(settled) < 2 * third:
        return []
    found = []
    for kind, allowed in ALLOWED.items():
        before = max(one[kind] for one in settled[:third])
        now = min(one[kind] for one in settled[-third:])
        if now > before + allowed:
            found.append(f"{kind} grew from {before} to {now} in {len(settled)} rests")
    return found


def run(
    folder: Path,
    *,
    hours: float,
    boards: int,
    jobs: int,
    every_s: float,
    round_s: float,
    seed: int,
    say: Callable[[str], None],
) -> Found:
    """Cause faults for so long.

    Args:
        folder: for all files; empty.
        hours: how long.
        boards: that are emulated.
        jobs: under way at a time.
        every_s: between two faults, on average.
        round_s: of faults between two rests.
        seed: of the choice of faults.
        say: is told what is counted at each rest.
    """
    rests: list[Counts] = []
    until_s = time.monotonic() + hours * 3600
    with fleet_faults.fleet_up(folder, boards, seed) as fleet:
        names = fleet_faults.cards(fleet, _WITHOUT)
        daemon = fleet.daemon()
        for number in itertools.count(1):
            round_until_s = time.monotonic() + round_s
            while time.monotonic() < round_until_s:
                fleet_faults.work_among_faults(fleet, names, jobs, every_s)
            fleet.come_to_rest()
            if daemon is None or fleet.daemon() != daemon:
                fleet.found.leaks.append("the daemon ended by itself")
                break
            rests.append(counted(fleet, daemon))
            told = ", ".join(f"{kind} {count}" for kind, count in rests[-1].items())
            say(f"rest {number}, {fleet.found.faults.total()} faults: {told}")
            if time.monotonic() > until_s:
                break
        fleet.calm_down()
        fleet.found.leaks += growth(rests)
        if len(rests) < _FIRST + 2:
            say("too short to tell what grows: more hours, or shorter rounds")
        return fleet.found
