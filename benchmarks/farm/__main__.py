"""The farm under load and under faults: `python -m benchmarks.farm`.

Four parts, each of which `--parts` may pick:

- race: processes race for boards; a witness beside the leases sees whether two ever have one.
- latency: how long a lease takes of 64 boards on one tracker, while others take and give back.
- faults: jobs of bench, tune and provision while processes are killed, stopped and frozen, networks
  are late, cut and silent, and strangers talk to the ports; then what must hold is looked at. The
  boards are edgetvm's program on this machine, each behind a proxy, and the jobs ask it as the
  commands do: many faults cost little.
- fleet: edgetvm's own bench, tune and provision on emulated boards that SSH leads to, under faults
  of `edgetvm.farm.emulating`: pulled cables, frozen boards, reboots, full disks. Only root can.

`--faults` is how many the last two cause together; `--fleet-faults` of them befall the fleet. It
ends with `result: faults=… lost_results=… stuck_leases=… double_leases=… lease_p99_ms=…
racing_acquires=…`; `nan` for a part that was not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from math import nan
from pathlib import Path

from benchmarks.farm import faults, fleet_faults, latency, racing
from benchmarks.farm.history import double_leases

PARTS = ("race", "latency", "faults", "fleet")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.farm", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--parts", default=",".join(PARTS), metavar="A,B", help=",".join(PARTS))
    add("--acquires", type=int, default=10_000, metavar="N", help="of race")
    add("--url", metavar="URL", help="of race: a database; a new SQLite file without it")
    add("--boards", type=int, default=64, metavar="N", help="of latency")
    add("--leases", type=int, default=400, metavar="N", help="of latency")
    add("--faults", type=int, default=1000, metavar="N", help="of faults and fleet together")
    add("--fleet-faults", type=int, default=60, metavar="N", help="of these, those of fleet")
    add("--fleet-boards", type=int, default=3, metavar="N", help="of fleet")
    add("--fault-boards", type=int, default=12, metavar="N")
    add("--workers", type=int, default=6, metavar="N", help="of faults")
    add("--every", type=float, default=0.15, metavar="S", help="between two faults")
    add("--seed", type=int, default=1, metavar="N", help="of the choice of faults")
    return parser.parse_args()


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _race(told: argparse.Namespace, folder: Path) -> tuple[int, int]:
    began_s = time.monotonic()
    raced = racing.race(
        told.url or f"sqlite:///{folder}/race.sqlite", folder,
        processes=4, threads=3, boards=8, acquires=told.acquires,
    )  # fmt: skip
    doubled = len(double_leases(raced.held)) + raced.witnessed
    _say(
        f"race: {raced.acquires} acquires, {len(raced.held)} granted, {doubled} doubled, "
        f"in {time.monotonic() - began_s:.0f} s"
    )
    return raced.acquires, doubled


def _latency(told: argparse.Namespace, folder: Path) -> float:
    found = sorted(latency.latencies_ms(folder, boards=told.boards, leases=told.leases, clients=8))
    p50_ms, p99_ms = (found[int(len(found) * part)] for part in (0.5, 0.99))
    _say(
        f"latency: {len(found)} leases of {told.boards} boards, p50 {p50_ms:.1f} ms, "
        f"p99 {p99_ms:.1f} ms, longest {found[-1]:.1f} ms"
    )
    return p99_ms


def _faults(told: argparse.Namespace, folder: Path) -> faults.Found:
    return faults.run(
        folder, faults=told.faults - told.fleet_faults, boards=told.fault_boards,
        workers=told.workers, every_s=told.every, seed=told.seed,
    )  # fmt: skip


def _fleet(told: argparse.Namespace, folder: Path) -> faults.Found:
    return fleet_faults.run(
        folder, faults=told.fleet_faults, boards=told.fleet_boards, jobs=3, every_s=2.5,
        seed=told.seed,
    )  # fmt: skip


def _told(part: str, found: faults.Found, took_s: float) -> faults.Found:
    """Say what came of a part under faults."""
    _say(f"{part}, in {took_s:.0f} s: {found.faults.total()} faults")
    _say(f"faults: {dict(found.faults.most_common())}")
    _say(f"jobs: {dict(found.jobs.most_common())}")
    _say(f"torn files: {found.torn_files}, failures without a reason: {found.silent_failures}")
    for reason, count in found.reasons.most_common(12):
        _say(f"  {count:6} {reason or 'ok'}")
    for leak in found.leaks:
        _say(f"left behind: {leak}")
    return found


def main() -> None:
    """Run the parts, and tell what they came to."""
    told = _options()
    parts = told.parts.split(",")
    acquires: float = nan
    doubled, p99_ms, under_faults = 0, nan, {"faults": _faults, "fleet": _fleet}
    found: list[faults.Found] = []
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="edgetvm-farm-") as name:
            began_s = time.monotonic()
            if part == "race":
                acquires, doubled = _race(told, Path(name))
            elif part == "latency":
                p99_ms = _latency(told, Path(name))
            elif part in under_faults:
                one = under_faults[part](told, Path(name))
                found.append(_told(part, one, time.monotonic() - began_s))
            else:
                raise SystemExit(f"no part is called {part}: {', '.join(PARTS)}")
    count, lost, stuck = (
        float(sum(map(of, found))) if found else nan
        for of in (
            lambda one: one.faults.total(),
            lambda one: one.lost_results,
            lambda one: one.stuck_leases,
        )
    )
    doubled += sum(one.double_leases for one in found)
    _say(
        f"result: faults={count:g} lost_results={lost:g} stuck_leases={stuck:g} "
        f"double_leases={doubled} lease_p99_ms={p99_ms:.1f} racing_acquires={acquires:g}"
    )


if __name__ == "__main__":
    main()
