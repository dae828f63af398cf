"""What takes minutes: trackers and boards that are away for long, and a line of 64 kbit/s.

What must hold:

- All servers are back within 15 s after their tracker is, however long it was away.
- Whoever has a board that goes away is told so while it is; his lease ends with that reason.
- Such a board is good again by itself after it is back; the others serve meanwhile.
- Over a slow line boards are provisioned and measured, and what is measured is not slower.
- What is cut off in the middle of that says why, and leaves nothing half-done.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from benchmarks.farm import fleet_faults
from benchmarks.farm.away import AwayTracker, back_s, tracker_and_servers
from benchmarks.farm.faults import Found
from benchmarks.farm.fleet import Fleet
from benchmarks.farm.fleet_jobs import Job
from edgetvm.base.errors import BoardBusyError, BoardError
from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.emulating import faults as on
from edgetvm.measure.store import Store

_AWAY_S = (70.0, 300.0)
# 64 kbit/s.
_SLOW_BYTES_PER_S = 8000.0
_TRACKER_BACK_S = 15.0
# SSH gives a silent connection up after 20 s, and a farm a board that is away after 60 s.
_TOLD_S = 90.0
# A bad board is tried again every two minutes.
_BOARD_BACK_S = 180.0
_UPLOADING_S = 8.0
_NOT_SLOWER = 3.0


class _Promises:
    """Says what was found; what does not hold is `broken`."""

    def __init__(self, found: Found, say: Callable[[str], None]) -> None:
        self._found, self._say = found, say

    def within(self, what: str, took_s: float, most_s: float) -> None:
        self.holds(f"{what}: {took_s:.0f} s, at most {most_s:.0f} s", took_s <= most_s)

    def holds(self, what: str, truth: bool) -> None:
        self._say(what if truth else f"{what}: NO")
        if not truth:
            self._found.broken.append(what)


def run(folder: Path, *, seed: int, say: Callable[[str], None]) -> Found:
    """Try all of it, in about a quarter of an hour.

    Args:
        folder: for all files; empty.
        seed: of what is chosen.
        say: is told what is found.
    """
    (folder / "fleet").mkdir()
    with (
        tracker_and_servers(folder / "away") as tracker,
        fleet_faults.fleet_up(folder / "fleet", 3, seed) as fleet,
    ):
        promises = _Promises(fleet.found, say)
        for away_s in _AWAY_S:
            _outage(tracker, fleet, away_s, promises)
        _slow_line(fleet, promises)
        fleet.calm_down()
        return fleet.found


def _outage(tracker: AwayTracker, fleet: Fleet, away_s: float, promises: _Promises) -> None:
    """A tracker and two boards that somebody has go away for so long, and come back."""
    held, measured, other = fleet.boards
    jobs = {
        "a lease": _begin_to_hold(fleet, held),
        "a bench": _begin_to_measure(fleet, measured),
    }
    with ExitStack() as cables:
        tracker.go()
        for board in (held, measured):
            cables.enter_context(on.link_down(board))
            fleet.found.faults[f"away for {away_s:g} s"] += 1
        fleet.found.faults["tracker away"] += 1
        until_s = time.monotonic() + away_s
        _see_jobs_end(fleet, jobs, promises)
        promises.holds("another board serves meanwhile", not _bench(fleet, other).returncode)
        while time.monotonic() < until_s:
            fleet.mend(0)
            time.sleep(0.5)
        tracker.come()
        came_s = time.monotonic()
        with suppress(BoardError):  # a board that the farm starts anew just now
            cables.close()
    try:
        took_s = back_s(tracker, 4 * _TRACKER_BACK_S)
    except BoardBusyError as error:
        promises.holds(f"after {away_s:g} s without a tracker: {error}", False)
    else:
        what = f"after {away_s:g} s without a tracker all servers are back"
        promises.within(what, took_s, _TRACKER_BACK_S)
    fleet.come_to_rest()
    what = f"boards that were away for {away_s:g} s are good again"
    promises.within(what, time.monotonic() - came_s, _BOARD_BACK_S)


def _begin_to_hold(fleet: Fleet, board: EmulatedBoard) -> Job:
    words = ["lease", "run", board.name, "--wait", "60", "--", "sleep", "3600"]
    job = fleet.begin("lease", words)
    _wait_for_lease(fleet, board)
    return job


def _begin_to_measure(fleet: Fleet, board: EmulatedBoard) -> Job:
    words = ["bench", "{model}", "--device", board.name, "--wait", "60"]
    job = fleet.begin("bench", [*words, "--runs", "100000000", "--max-time", "600"])
    _wait_for_lease(fleet, board)
    time.sleep(10.0)
    return job


def _wait_for_lease(fleet: Fleet, board: EmulatedBoard) -> None:
    until_s = time.monotonic() + 60.0
    while board.name not in {one.board for one in fleet.store.seen().leases}:
        if time.monotonic() > until_s:
            raise BoardBusyError("nobody took it", where=board.name)
        time.sleep(0.1)


def _see_jobs_end(fleet: Fleet, jobs: dict[str, Job], promises: _Promises) -> None:
    began_s = time.monotonic()
    left = dict(jobs)
    while left and time.monotonic() - began_s < 2 * _TOLD_S:
        for name, job in list(left.items()):
            if job.process.poll() is not None:
                promises.within(f"{name} is told", time.monotonic() - began_s, _TOLD_S)
                promises.holds(f"{name} ends with 8", job.process.returncode == 8)
                del left[name]
        fleet.mend(0)
        time.sleep(0.2)
    for name in left:
        promises.holds(f"{name} ends", False)


def _slow_line(fleet: Fleet, promises: _Promises) -> None:
    """A board is provisioned and measured over 64 kbit/s, the first time cut off in the middle."""
    board = fleet.boards[0]
    usual_ms = _p50_ms(_bench(fleet, board), fleet)
    fleet.command("provision", board.name, "--remove")
    with on.link_impaired(board, bytes_per_s=_SLOW_BYTES_PER_S):
        fleet.found.faults["slow line"] += 1
        job = fleet.begin("provision", ["provision", board.name])
        time.sleep(_UPLOADING_S)
        on.sessions_killed(board)
        fleet.found.faults["sessions of SSH cut"] += 1
        with suppress(subprocess.TimeoutExpired):
            job.process.wait(_TOLD_S)
        promises.holds("what is cut off in mid-upload ends with 8", job.process.returncode == 8)
        began_s = time.monotonic()
        done = fleet.command("provision", board.name)
        took_s = time.monotonic() - began_s
        promises.holds(f"over 64 kbit/s it is provisioned, in {took_s:.0f} s", not done.returncode)
        began_s = time.monotonic()
        slow_ms = _p50_ms(_bench(fleet, board), fleet)
        took_s = time.monotonic() - began_s
    promises.holds(
        f"over 64 kbit/s it is measured, in {took_s:.0f} s: p50 {slow_ms:.4f} ms, "
        f"else {usual_ms:.4f} ms",
        slow_ms < _NOT_SLOWER * usual_ms,
    )


def _bench(fleet: Fleet, board: EmulatedBoard) -> subprocess.CompletedProcess[bytes]:
    words = ("bench", fleet.model, "--device", board.name, "--runs", "50", "--wait", "150")
    return fleet.command(*words, "--json")


def _p50_ms(done: subprocess.CompletedProcess[bytes], fleet: Fleet) -> float:
    if done.returncode:
        return float("nan")
    (one,) = json.loads(done.stdout)["measurements"]
    samples_ns = Store(fleet.results).load(one["measurement"]["id"]).samples_ns
    return float(np.median(np.concatenate(list(samples_ns.chunks())))) / 1e6
