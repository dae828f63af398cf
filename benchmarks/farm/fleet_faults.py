"""What befalls a fleet: its boards, jobs and daemon. A fault answers whether it happened."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.farm.dealing import dealt
from benchmarks.farm.faults import Found
from benchmarks.farm.fleet import Fleet
from edgetvm.base.errors import EdgetvmError
from edgetvm.farm.emulating import EmulatedBoard, emulated_boards
from edgetvm.farm.emulating import faults as on

Fault = Callable[[Fleet], bool]


def _lasting(fault: Callable[..., AbstractContextManager[None]], **how: Any) -> Fault:
    """Something that is there for some seconds."""

    def befall(fleet: Fleet) -> bool:
        if not fleet.calm:
            return False
        board, trouble = fleet.random.choice(fleet.calm), ExitStack()
        trouble.enter_context(fault(board, **how))
        fleet.calm.remove(board)

        def pass_by() -> None:
            with suppress(EdgetvmError, OSError):  # it was started anew meanwhile
                trouble.close()
            fleet.calm.append(board)

        fleet.later(fleet.random.uniform(2.0, 6.0), pass_by)
        return True

    return befall


def _once(deed: Callable[[EmulatedBoard], object]) -> Fault:
    """Something that is over at once."""

    def befall(fleet: Fleet) -> bool:
        if not fleet.calm:
            return False
        deed(fleet.random.choice(fleet.calm))
        return True

    return befall


def _job(number: signal.Signals, wakes_s: float | None = None) -> Fault:
    """A signal to all processes of a job."""

    def befall(fleet: Fleet) -> bool:
        under_way = [job for job in fleet.jobs if job.process.poll() is None]
        if not under_way:
            return False
        job = fleet.random.choice(under_way)
        os.killpg(job.process.pid, number)
        if wakes_s is None:
            job.is_hit = True
        else:
            fleet.later(wakes_s, lambda: _wake(job.process.pid))
        return True

    return befall


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGCONT)


def _kick(fleet: Fleet) -> bool:
    held = [one.board for one in fleet.store.seen().leases]
    return bool(held) and bool(fleet.store.kick(fleet.random.choice(held), "the benchmark"))


def _kill_daemon(fleet: Fleet) -> bool:
    daemon = fleet.daemon()
    if daemon is not None:
        daemon.kill()
    return daemon is not None


def _kill(program: str, number: str) -> Fault:
    return _once(lambda board: board.run("pkill", f"-{number}", "-f", program))


# Name, how often, and what is done.
FAULTS: Sequence[tuple[str, int, Fault]] = (
    ("sessions of SSH cut", 5, _once(on.sessions_killed)),
    ("cable pulled", 5, _lasting(on.link_down)),
    ("cable bad", 4, _lasting(on.link_impaired, loss=0.05, delay_ms=50.0)),
    ("sshd stopped", 3, _lasting(on.sshd_stopped)),
    ("sshd mute", 3, _lasting(on.sshd_mute)),
    ("board frozen", 3, _lasting(on.frozen)),
    ("board started anew", 2, _once(EmulatedBoard.reboot)),
    ("disk full", 2, _lasting(on.disk_full)),
    ("server killed", 5, _kill("edgetvm-board serve", "KILL")),
    ("server crashed", 3, _kill("edgetvm-board serve", "SEGV")),
    ("job killed", 5, _job(signal.SIGKILL)),
    ("job ended", 3, _job(signal.SIGTERM)),
    ("job stopped", 3, _job(signal.SIGSTOP, wakes_s=4.0)),
    ("kicked", 4, _kick),
    ("daemon killed", 2, _kill_daemon),
)


_DEEDS = {name: deed for name, _, deed in FAULTS}


@contextmanager
def fleet_up(folder: Path, boards: int, seed: int) -> Iterator[Fleet]:
    """Emulated boards that are provisioned and served.

    Args:
        folder: for all files; empty.
        boards: how many.
        seed: of the choice of faults.
    """
    with emulated_boards(boards) as made:
        fleet = Fleet(folder, made, seed)
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.close()


def cards(fleet: Fleet, without: Sequence[str] = ()) -> Iterator[str]:
    """Names of faults without end."""
    return dealt({name: often for name, often, _ in FAULTS if name not in without}, fleet.random)


def befall(fleet: Fleet, name: str) -> None:
    """Cause a fault; one that has nothing to befall, or a board that just comes up, counts not."""
    with suppress(EdgetvmError, OSError, psutil.Error):
        fleet.found.faults[name] += _DEEDS[name](fleet)


def work_among_faults(fleet: Fleet, names: Iterator[str], jobs: int, every_s: float) -> None:
    """Have so many jobs under way, cause the next fault, and wait, `every_s` on average."""
    fleet.mend(jobs)
    befall(fleet, next(names))
    time.sleep(fleet.random.uniform(0, 2 * every_s))


def run(folder: Path, *, faults: int, boards: int, jobs: int, every_s: float, seed: int) -> Found:
    """Cause so many faults while jobs run, then look what is left.

    Args:
        folder: for all files; empty.
        faults: how many.
        boards: that are emulated.
        jobs: under way at a time.
        every_s: between two faults, on average.
        seed: of the choice of faults.
    """
    with fleet_up(folder, boards, seed) as fleet:
        names = cards(fleet)
        while fleet.found.faults.total() < faults:
            work_among_faults(fleet, names, jobs, every_s)
        fleet.calm_down()
        return fleet.found
