"""The farm under load and under faults: `python -m benchmarks.farm`.

Parts, which `--parts` picks; the first four without it, of which only root can do `fleet`:

- race: processes race for boards; a witness beside the leases sees whether two ever have one.
- latency: how long a lease takes of 64 boards on one tracker, while others take and give back.
- faults: jobs of bench, tune and provision while processes are killed, stopped and frozen, networks
  are late, cut and silent, and strangers talk to the ports; then what must hold is looked at. The
  boards are edgetvm's program on this machine, each behind a proxy, and the jobs ask it as the
  commands do: many faults cost little.
- fleet: edgetvm's own bench, tune and provision on emulated boards that SSH leads to, under faults
  of `edgetvm.farm.emulating`: pulled cables, frozen boards, reboots, full disks.
- long: trackers and cables that are away for 70 s and 300 s, and a line of 64 kbit/s. Root's, too.
- soak: the fleet for `--hours`; whatever grows meanwhile is a leak. Root's, too.

`--faults` is how many faults and fleet cause together; `--fleet-faults` of them befall the fleet.
It ends with `result: faults=… lost_results=… stuck_leases=… double_leases=… lease_p99_ms=…
racing_acquires=…`; `nan` for a part that was not run. Its exit code is 1 where something did not
hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

from benchmarks.farm import faults, fleet_faults, latency, long, racing, soak
from benchmarks.farm.faults import Found
from benchmarks.farm.history import double_leases
from edgetvm.base.errors import EdgetvmError

_MOST_P99_MS = 100.0


@dataclass
class Tally:
    """What the parts came to together.

    Attributes:
        acquires, doubled: of the race.
        p99_ms: of a lease.
        found: under faults.
    """

    acquires: float = nan
    doubled: int = 0
    p99_ms: float = nan
    found: list[Found] = field(default_factory=list)

    def line(self) -> str:
        """The result."""
        faults, lost, stuck = (
            float(sum(map(of, self.found))) if self.found else nan
            for of in (
                lambda one: one.faults.total(),
                lambda one: one.lost_results,
                lambda one: one.stuck_leases,
            )
        )
        doubled = self.doubled + sum(one.double_leases for one in self.found)
        return (
            f"result: faults={faults:g} lost_results={lost:g} stuck_leases={stuck:g} "
            f"double_leases={doubled} lease_p99_ms={self.p99_ms:.1f} "
            f"racing_acquires={self.acquires:g}"
        )

    @property
    def all_held(self) -> bool:
        """Whether nothing happened that must not."""
        is_quick = not self.p99_ms > _MOST_P99_MS
        return is_quick and not self.doubled and all(one.all_held for one in self.found)


Part = Callable[[Namespace, Path, Tally], None]


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _race(told: Namespace, folder: Path, tally: Tally) -> None:
    raced = racing.race(
        told.url or f"sqlite:///{folder}/race.sqlite", folder,
        processes=4, threads=3, boards=8, acquires=told.acquires,
    )  # fmt: skip
    tally.acquires = raced.acquires
    tally.doubled = len(double_leases(raced.held)) + raced.witnessed
    _say(f"{raced.acquires} acquires, {len(raced.held)} granted, {tally.doubled} doubled")


def _latency(told: Namespace, folder: Path, tally: Tally) -> None:
    found = sorted(latency.latencies_ms(folder, boards=told.boards, leases=told.leases, clients=8))
    p50_ms, tally.p99_ms = (found[int(len(found) * part)] for part in (0.5, 0.99))
    _say(
        f"{len(found)} leases of {told.boards} boards, p50 {p50_ms:.1f} ms, "
        f"p99 {tally.p99_ms:.1f} ms, longest {found[-1]:.1f} ms"
    )


def _faults(told: Namespace, folder: Path, tally: Tally) -> None:
    found = faults.run(
        folder, faults=told.faults - told.fleet_faults * ("fleet" in told.parts),
        boards=told.fault_boards, workers=told.workers, every_s=told.every, seed=told.seed,
    )  # fmt: skip
    _tell(found, tally)


def _fleet(told: Namespace, folder: Path, tally: Tally) -> None:
    found = fleet_faults.run(
        folder, faults=told.fleet_faults, boards=told.fleet_boards, jobs=3, every_s=2.5,
        seed=told.seed,
    )  # fmt: skip
    _tell(found, tally)


def _long(told: Namespace, folder: Path, tally: Tally) -> None:
    _tell(long.run(folder, seed=told.seed, say=_say), tally)


def _soak(told: Namespace, folder: Path, tally: Tally) -> None:
    found = soak.run(
        folder, hours=told.hours, boards=told.fleet_boards, jobs=3, every_s=5.0,
        round_s=told.round, seed=told.seed, say=_say,
    )  # fmt: skip
    _tell(found, tally)


def _tell(found: Found, tally: Tally) -> None:
    """Say what came of a part under faults."""
    tally.found.append(found)
    _say(f"{found.faults.total()} faults: {dict(found.faults.most_common())}")
    _say(f"jobs: {dict(found.jobs.most_common())}")
    _say(f"torn files: {found.torn_files}, failures without a reason: {found.silent_failures}")
    for reason, count in found.reasons.most_common(12):
        _say(f"  {count:6} {reason or 'ok'}")
    for leak in found.leaks:
        _say(f"left behind: {leak}")
    for promise in found.broken:
        _say(f"did not hold: {promise}")


PARTS: Mapping[str, Part] = {
    "race": _race,
    "latency": _latency,
    "faults": _faults,
    "fleet": _fleet,
    "long": _long,
    "soak": _soak,
}


def _options() -> Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.farm", description=(__doc__ or "").splitlines()[0]
    )
    add, usual = parser.add_argument, ["race", "latency", "faults"]
    usual += ["fleet"] * (os.geteuid() == 0)
    add("--parts", default=",".join(usual), metavar="A,B", help=",".join(PARTS))
    add("--acquires", type=int, default=10_000, metavar="N", help="of race")
    add("--url", metavar="URL", help="of race: a database; a new SQLite file without it")
    add("--boards", type=int, default=64, metavar="N", help="of latency")
    add("--leases", type=int, default=400, metavar="N", help="of latency")
    add("--faults", type=int, default=1000, metavar="N", help="of faults and fleet together")
    add("--fleet-faults", type=int, default=150, metavar="N", help="of these, those of fleet")
    add("--fleet-boards", type=int, default=3, metavar="N", help="of fleet and soak")
    add("--fault-boards", type=int, default=12, metavar="N")
    add("--workers", type=int, default=6, metavar="N", help="of faults")
    add("--every", type=float, default=0.15, metavar="S", help="between two faults")
    add("--hours", type=float, default=24.0, metavar="H", help="of soak")
    add("--round", type=float, default=60.0, metavar="S", help="of soak: between two rests")
    add("--seed", type=int, default=1, metavar="N", help="of the choice of faults")
    told = parser.parse_args()
    told.parts = told.parts.split(",")
    if unknown := set(told.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(unknown)}: {', '.join(PARTS)}")
    return told


def main() -> None:
    """Run the parts, and tell what they came to."""
    told, tally = _options(), Tally()
    for part in told.parts:
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="edgetvm-farm-") as name:
            try:
                PARTS[part](told, Path(name), tally)
            except EdgetvmError as error:
                raise SystemExit(f"{part}: {error}") from error
        _say(f"{part}: took {time.monotonic() - began_s:.0f} s")
    _say(tally.line())
    raise SystemExit(not tally.all_held)


if __name__ == "__main__":
    main()
