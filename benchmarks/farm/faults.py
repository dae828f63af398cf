"""Faults for real, one after the other, while jobs run on boards; and what must hold after.

- No result that was noted as kept is lost.
- No board answers to a holder after it has answered to a later one.
- No lease of a dead holder stands longer than its time to live and two seconds.
- Every job that fails says why.
- Nothing is left: processes, folders, open files of the daemon.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.farm.dealing import dealt
from benchmarks.farm.worker import TTL_S, stacks_of
from edgetvm.farm.leases import LeaseStore
from edgetvm.tune.database import TuningDatabase

_FREED_S = TTL_S + 2.0
_GARBAGE = (
    b"",
    b"\x71\xf2\x0f\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x71\xf2\x02\x00\xff\xff\xff\x7f",
)


@dataclass
class Found:
    """What came of it; all but `faults`, `jobs`, `reasons` and `waits_ms` should be empty or 0."""

    faults: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    waits_ms: list[float] = field(default_factory=list)
    lost_results: int = 0
    double_leases: int = 0
    stuck_leases: int = 0
    torn_files: int = 0
    silent_failures: int = 0
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def all_held(self) -> bool:
        """Whether nothing happened that must not."""
        wrong = self.lost_results + self.double_leases + self.stuck_leases + self.torn_files
        return not (wrong + self.silent_failures or self.leaks or self.broken)


class Playground:
    """A daemon and workers, each a process that faults befall."""

    def __init__(self, folder: Path, boards: int, workers: int, seed: int) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder}/farm.sqlite"
        self.names = [f"board{index}" for index in range(boards)]
        self.random = random.Random(seed)  # noqa: S311 - which fault comes next
        self.store = LeaseStore(self.url)
        self.daemon = self._started("daemon", "--hasty")
        self._mother = self._started("worker")
        self.workers: list[psutil.Process] = []
        self.wanted = workers
        self.calm: list[tuple[float, Callable[[], object]]] = []

    def _started(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", f"benchmarks.farm.{module}", self.url, str(self.folder)]
        log = (self.folder / f"{module}.err").open("ab")
        with log:
            return subprocess.Popen(
                [*words, *self.names, *options],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip

    def mend(self) -> None:
        """Start what ended, and end what troubles last long enough."""
        if self.daemon.poll() is not None:
            self.daemon = self._started("daemon", "--hasty")
        self.workers = [one for one in self.workers if one.is_running()]
        while len(self.workers) < self.wanted:
            self.workers.append(self._new_worker())
        for due in [one for one in self.calm if one[0] < time.monotonic()]:
            self.calm.remove(due)
            due[1]()

    def _new_worker(self) -> psutil.Process:
        mother = self._mother
        assert mother.stdin is not None  # noqa: S101 - for the type
        assert mother.stdout is not None  # noqa: S101
        mother.stdin.write(b"\n")
        mother.stdin.flush()
        return psutil.Process(int(mother.stdout.readline()))

    def later(self, seconds: float, deed: Callable[[], object]) -> None:
        """Do something after a while."""
        self.calm.append((time.monotonic() + seconds, deed))

    def tell(self, **words: Any) -> bool:
        """Say something to the daemon's proxies; whether there was a daemon that could hear it."""
        with contextlib.suppress(BrokenPipeError, OSError):
            assert self.daemon.stdin is not None  # noqa: S101 - for the type
            self.daemon.stdin.write(json.dumps(words).encode() + b"\n")
            self.daemon.stdin.flush()
            return True
        return False

    def servers(self) -> list[psutil.Process]:
        """Of boards that are up."""
        return [one for one in _below(self.daemon.pid) if _name(one) == "edgetvm-board"]

    def close(self) -> None:
        """End all of it."""
        for worker in self.workers:
            _signal(worker, signal.SIGKILL)
        for process in (self._mother, self.daemon):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None  # noqa: S101 - for the type
                with contextlib.suppress(OSError):
                    pipe.close()
        self.store.close()


def _below(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return str(process.name())
    return ""


def _signal(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether it was still there to take the signal."""
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        process.send_signal(number)
        return True
    return False


def _worker(ground: Playground, number: signal.Signals) -> bool:
    return _signal(ground.random.choice(ground.workers), number)


def _stop_worker(ground: Playground) -> bool:
    victim = ground.random.choice(ground.workers)
    ground.later(ground.random.choice([0.5, TTL_S + 1]), lambda: _signal(victim, signal.SIGCONT))
    return _signal(victim, signal.SIGSTOP)


def _server(ground: Playground, number: signal.Signals, calm_s: float | None = None) -> bool:
    leaders = [one for one in ground.servers() if not _is_session(one)]
    if not leaders:
        return False
    victim = ground.random.choice(leaders)
    tree = [victim, *_below(victim.pid)]
    is_hit = [_signal(one, number) for one in tree]
    if calm_s is not None:
        ground.later(calm_s, lambda: [_signal(one, signal.SIGCONT) for one in tree])
    return any(is_hit)


def _session(ground: Playground, number: signal.Signals) -> bool:
    sessions = [one for one in ground.servers() if _is_session(one)]
    return bool(sessions) and _signal(ground.random.choice(sessions), number)


def _is_session(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        parent = process.parent()
        return parent is not None and _name(parent) == "edgetvm-board"
    return False


def _tracker(ground: Playground, number: signal.Signals, calm_s: float | None = None) -> bool:
    for one in _below(ground.daemon.pid):
        with contextlib.suppress(psutil.Error):
            if "edgetvm.farm.tracker" in one.cmdline():
                if calm_s is not None:
                    ground.later(calm_s, partial(_signal, one, signal.SIGCONT))
                return _signal(one, number)
    return False


def _trouble(ground: Playground, **trouble: Any) -> bool:
    board = ground.random.choice(ground.names)
    ground.later(ground.random.uniform(0.5, 3.0), lambda: ground.tell(board=board, trouble=None))
    return ground.tell(board=board, trouble=trouble)


def _strangers(ground: Playground) -> bool:
    ports = []
    for one in [*ground.servers(), *_below(ground.daemon.pid)]:
        with contextlib.suppress(psutil.Error):
            found = one.net_connections("tcp")
            ports += [entry.laddr.port for entry in found if entry.status == "LISTEN"]
    for port in set(ports):
        with contextlib.suppress(OSError):
            stranger = socket.create_connection(("127.0.0.1", port), 1)
            stranger.sendall(ground.random.choice(_GARBAGE))
            ground.later(2.0, stranger.close)
    return bool(ports)


def _kick(ground: Playground) -> bool:
    held = [one.board for one in ground.store.seen().leases]
    return bool(held) and ground.store.kick(ground.random.choice(held), "the benchmark") is not None


def _maintain(ground: Playground) -> bool:
    board = ground.random.choice(ground.names)
    ground.store.maintain(board, "the benchmark", begins=True)
    ground.later(1.0, lambda: ground.store.maintain(board, "the benchmark", begins=False))
    return True


def _kill_daemon(ground: Playground) -> bool:
    ground.daemon.kill()
    return True


# Name, how often, and what is done; it answers whether there was anything that it befell.
FAULTS: Sequence[tuple[str, int, Callable[[Playground], bool]]] = (
    ("worker killed", 12, lambda ground: _worker(ground, signal.SIGKILL)),
    ("worker stopped", 8, _stop_worker),
    ("worker ended", 4, lambda ground: _worker(ground, signal.SIGTERM)),
    ("server killed", 10, lambda ground: _server(ground, signal.SIGKILL)),
    ("server frozen", 6, lambda ground: _server(ground, signal.SIGSTOP, 4.0)),
    ("session killed", 10, lambda ground: _session(ground, signal.SIGKILL)),
    ("session crashed", 10, lambda ground: _session(ground, signal.SIGSEGV)),
    ("connections reset", 10, lambda ground: ground.tell(
        board=ground.random.choice(ground.names), reset=True)),
    ("half-open up", 6, lambda ground: _trouble(ground, drops_up=True)),
    ("half-open down", 6, lambda ground: _trouble(ground, drops_down=True)),
    ("late and lossy", 6, lambda ground: _trouble(ground, latency_s=0.2, loss=0.05)),
    ("slow", 6, lambda ground: _trouble(ground, bytes_per_s=8000)),
    ("refused", 4, lambda ground: _trouble(ground, refuses=True)),
    ("strangers", 4, _strangers),
    ("kicked", 6, _kick),
    ("maintained", 3, _maintain),
    ("tracker killed", 2, lambda ground: _tracker(ground, signal.SIGKILL)),
    ("tracker frozen", 1, lambda ground: _tracker(ground, signal.SIGSTOP, 4.0)),
    ("daemon killed", 1, _kill_daemon),
)  # fmt: skip


def _stuck(ground: Playground, dead_since: dict[int, float]) -> set[int]:
    """Leases whose holders are dead for longer than they may stand."""
    now_s, stuck = time.monotonic(), set()
    for lease in ground.store.seen().leases:
        # A holder that beats lives; what is silent for longer than that is over, whoever it was.
        if lease.silent_s > _FREED_S:
            since_s = dead_since.setdefault(lease.token, now_s)
            if now_s - since_s > 1.0:
                stuck.add(lease.token)
    return stuck


@contextlib.contextmanager
def _playing(folder: Path, boards: int, workers: int, seed: int) -> Iterator[Playground]:
    ground = Playground(folder, boards, workers, seed)
    try:
        yield ground
    finally:
        ground.close()


def _all_good(ground: Playground, within_s: float) -> bool:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        ground.mend()
        farm = ground.store.look()
        if {one.board for one in farm.boards if one.verdict == "good"} >= set(ground.names):
            return True
        time.sleep(0.2)
    return False


def run(
    folder: Path, *, faults: int, boards: int, workers: int, every_s: float, seed: int
) -> Found:
    """Cause so many faults, then look what is left.

    Args:
        folder: for all files; empty.
        faults: how many.
        boards, workers: how many.
        every_s: between two faults, on average.
        seed: of the choice of faults.
    """
    found = Found()
    deeds = {name: deed for name, _, deed in FAULTS}
    stuck: set[int] = set()
    with _playing(folder, boards, 0, seed) as ground:
        if not _all_good(ground, 60):
            raise RuntimeError("the boards did not come up")
        ground.wanted = workers
        dead_since: dict[int, float] = {}
        cards = dealt({name: often for name, often, _ in FAULTS}, ground.random)
        while found.faults.total() < faults:
            ground.mend()
            name = next(cards)
            found.faults[name] += deeds[name](ground)
            stuck |= _stuck(ground, dead_since)
            time.sleep(ground.random.uniform(0, 2 * every_s))
        _calm_down(ground, found)
        stuck |= _stuck(ground, dead_since)
    found.stuck_leases = len(stuck)
    _read_journals(folder, found)
    found.leaks += _left(folder)
    return found


def _calm_down(ground: Playground, found: Found) -> None:
    """No more faults: all boards come back, and no lease of a dead worker stands."""
    while ground.calm:
        ground.mend()
        time.sleep(0.1)
    ground.wanted = 0
    for worker in ground.workers:
        _signal(worker, signal.SIGCONT)
        _signal(worker, signal.SIGUSR1)
    _, late = psutil.wait_procs(ground.workers, timeout=60)
    found.leaks += [_where_it_hangs(ground, worker) for worker in late]
    ground.workers = late
    time.sleep(_FREED_S)
    found.stuck_leases += len(ground.store.look().leases)
    if not _all_good(ground, 60):
        bad = {one.board: one.detail for one in ground.store.look().boards if one.verdict != "good"}
        found.leaks.append(f"boards that did not come back: {bad}")
    open_files = psutil.Process(ground.daemon.pid).num_fds()
    # A pipe and a tracker; for each board two ends of a pipe and a proxy's port; the database.
    if open_files > 30 + 6 * len(ground.names):
        found.leaks.append(f"the daemon has {open_files} open files")


def _where_it_hangs(ground: Playground, worker: psutil.Process) -> str:
    _signal(worker, signal.SIGUSR2)
    time.sleep(0.5)
    stacks = stacks_of(ground.folder, worker.pid)
    told = stacks.read_text() if stacks.exists() else ""
    return f"worker {worker.pid}, {worker.status()}, does not end:\n{told}"


def _read_journals(folder: Path, found: Found) -> None:
    kept: set[int] = set()
    answers: list[Answer] = []
    for path in folder.glob("*.journal"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "kept" in entry:
                kept.add(entry["kept"])
            elif "answered" in entry:
                answers.append(Answer(**{key: entry[key] for key in _ANSWER}))
            elif "granted" in entry:
                found.waits_ms.append(entry["waited_ms"])
            elif "torn" in entry:
                found.torn_files += 1
            elif "ending" in entry:
                found.jobs[entry["ending"]] += 1
                found.reasons[re.sub(r"\b[0-9a-f]{6,}\b|[0-9.]+", "…", entry.get("why", ""))] += 1
                found.silent_failures += entry["ending"] != "ok" and not entry.get("why")
    with TuningDatabase(folder / "results.sqlite", must_exist=True) as database:
        (conditions,) = database.conditions() or (None,)
        there = {number for number, _ in database.numbered(conditions)} if conditions else set()
    found.lost_results = len(kept - there)
    found.double_leases = len(doubled(answers))


@dataclass(frozen=True)
class Answer:
    """Of a board to the holder of a lease: when it was asked, and when that was written down."""

    answered: str
    token: int
    asked_ns: int
    at_ns: int


_ANSWER = ("answered", "token", "asked_ns", "at_ns")


def doubled(answers: Sequence[Answer]) -> list[Answer]:
    """Answers to former holders: asked after the board had answered to a later one."""
    found = []
    first_ns: dict[tuple[str, int], int] = {}
    for one in answers:
        key = one.answered, one.token
        first_ns[key] = min(one.at_ns, first_ns.get(key, one.at_ns))
    for one in answers:
        later = (
            at_ns
            for (board, token), at_ns in first_ns.items()
            if board == one.answered and token > one.token
        )
        if any(at_ns < one.asked_ns for at_ns in later):
            found.append(one)
    return found


def _left(folder: Path) -> list[str]:
    """Processes and folders of boards that are still there."""
    time.sleep(1.0)
    left = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []):
            left.append(f"process {process.pid}: {' '.join(process.info['cmdline'][:6])}")
    left += [f"folder {one.name}" for one in folder.iterdir() if one.is_dir()]
    return left
