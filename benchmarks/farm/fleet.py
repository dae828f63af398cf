"""edgetvm's own bench, tune and provision on emulated boards that SSH leads to, among faults.

All is as users have it: `edgetvm farm up` serves the boards, and every job is a command in a
process of its own. What must hold after:

- What a database of results has shown once is there to the end.
- No lease stands longer than its time to live and two seconds without a heartbeat.
- No two leases of a board overlap in time.
- Every job that fails says why in a sentence, without a traceback.
- Nothing is left: processes here, files and sessions on the boards, open files of the daemon.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil

from benchmarks.farm.faults import Found
from benchmarks.farm.fleet_jobs import COMMAND, KINDS, OFTEN, Job, write_model
from benchmarks.farm.history import Held, double_leases
from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.emulating.inventory_of import inventory_text
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.leases import LeaseStore
from edgetvm.farm.leases.lease import TTL_S
from edgetvm.measure.store import Store
from edgetvm.tune.database import TuningDatabase

_FREED_S = TTL_S + 2.0
# A bad board is tried again after two minutes.
_BACK_S = 240.0
_JOB_S = 300.0
_SESSIONS = "^sshd: [a-z]+( |@|$)"


class Fleet:
    """Boards, the farm's daemon, and jobs.

    Attributes:
        boards: that nothing befalls just now stand in `calm`.
        store: of the farm.
        jobs: under way.
        model: that they compile.
        results: where they keep measurements.
    """

    def __init__(self, folder: Path, boards: Sequence[EmulatedBoard], seed: int) -> None:
        self.boards, self.calm = list(boards), list(boards)
        self.random = random.Random(seed)  # noqa: S311 - which fault comes next
        self.found = Found()
        self.jobs: list[Job] = []
        self._folder, self._count, self._temporary = folder, 0, folder / "tmp"
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._kept: tuple[set[int], set[str]] = set(), set()
        self._leases: dict[int, Held] = {}
        self._stuck: set[int] = set()
        self.results = f"sqlite:///{folder}/results.sqlite"
        self._trials = folder / "trials.sqlite"
        self.model = write_model(folder / "model.onnx")
        farm = f"sqlite:///{folder}/farm.sqlite"
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "EDGETVM_INVENTORY": str(folder / "boards.yaml"),
            "EDGETVM_FARM": farm,
            "EDGETVM_RESULTS": self.results,
        }
        self._temporary.mkdir()
        (folder / "boards.yaml").write_text(inventory_text(boards))
        self.store = LeaseStore(farm)

    def command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end. A daemon that it starts has a folder for temporary files."""
        return subprocess.run(
            [*COMMAND, *words],
            env={**self._environment, "TMPDIR": str(self._temporary)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_JOB_S,
        )

    def start(self) -> None:
        """Provision the boards, and serve them.

        Raises:
            RuntimeError: a command fails.
        """
        for words in (("provision", "--accept-new-host-key"), ("farm", "up")):
            done = self.command(*words)
            if done.returncode:
                raise RuntimeError(f"edgetvm {words[0]}: {done.stderr.decode(errors='replace')}")

    def mend(self, jobs: int) -> None:
        """End what lasted long enough, have a daemon and so many jobs, and look at the results."""
        for due in [one for one in self._later if one[0] < time.monotonic()]:
            self._later.remove(due)
            due[1]()
        for job in [one for one in self.jobs if one.process.poll() is not None]:
            self.jobs.remove(job)
            self._note(job)
        if self.daemon() is None:
            self.command("farm", "up")
        while len(self.jobs) < jobs:
            self._begin_any()
        self._look()

    def daemon(self) -> psutil.Process | None:
        """The farm's."""
        for one in self.store.seen().daemons:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(one.pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    return process
        return None

    def temporary_files(self) -> list[str]:
        """Of the daemon."""
        return sorted(str(one) for one in self._temporary.rglob("*"))

    def later(self, seconds: float, deed: Callable[[], object]) -> None:
        """Do something after a while."""
        self._later.append((time.monotonic() + seconds, deed))

    @property
    def is_troubled(self) -> bool:
        """Whether a fault is there that will pass."""
        return bool(self._later)

    def _begin_any(self) -> None:
        kind = self.random.choices(list(KINDS), OFTEN)[0]
        names = [board.name for board in self.boards]
        some = self.random.sample(names, self.random.randint(1, len(names)))
        self.begin(kind, KINDS[kind](some))

    def begin(self, kind: str, words: Sequence[str]) -> Job:
        """A command under way; how it ends is noted, see `mend`.

        Args:
            kind: of job, in a word.
            words: with `{model}` and `{trials}` where the files of those are meant.
        """
        words = [word.format(model=self.model, trials=self._trials) for word in words]
        self._count += 1
        said = self._folder / f"job{self._count}.err"
        with said.open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, *words], env=self._environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        job = Job(kind, process, said)
        self.jobs.append(job)
        return job

    def _note(self, job: Job) -> None:
        """How a job ended, and whether it says why."""
        text = job.said.read_text(errors="replace")
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        code = job.process.returncode
        if code and job.is_hit:
            ending, reason = "killed", f"{job.kind} killed by a fault"
        elif code:
            ending = "failed"
            reason = (errors or [f"{job.kind}: NO REASON, but: {text.strip()[-200:]}"])[0]
            self.found.silent_failures += not errors or "Traceback" in text
        else:
            ending, reason = "ok", ""
        self.found.jobs[f"{job.kind} {ending}"] += 1
        self.found.reasons[re.sub(r"\b[0-9a-f]{6,}\b|[0-9.]+", "…", reason)] += 1

    def _look(self) -> None:
        """What is kept must be there to the end; who is silent for too long is stuck."""
        farm = self.store.seen()
        for one in farm.ended:
            times = round(one.granted_at * 1e9), round(one.ended_at * 1e9)
            self._leases[one.token] = Held(one.board, one.token, one.owner, *times)
        if self.daemon() is not None:
            self._stuck |= {one.token for one in farm.leases if one.silent_s > _FREED_S}
        trials, measurements = self._there()
        self.found.lost_results += len(self._kept[0] - trials) + len(self._kept[1] - measurements)
        self._kept = trials, measurements

    def _there(self) -> tuple[set[int], set[str]]:
        trials: set[int] = set()
        if self._trials.exists():
            with TuningDatabase(self._trials) as database:
                for conditions in database.conditions():
                    trials |= {number for number, _ in database.numbered(conditions)}
        return trials, set(Store(self.results).ids())

    def come_to_rest(self) -> None:
        """No more faults: jobs end, and all boards come back."""
        until_s = time.monotonic() + _BACK_S
        while self.jobs or self.is_troubled:
            self.mend(0)
            if time.monotonic() > until_s:
                self.found.leaks += [f"{job.kind} does not end" for job in self.jobs]
                break
            time.sleep(0.2)
        while not self._are_good() and time.monotonic() < until_s:
            self.mend(0)
            time.sleep(0.5)

    def calm_down(self) -> None:
        """Come to rest; nothing must be left."""
        self.come_to_rest()
        farm = self.store.look()
        self.found.stuck_leases = len(self._stuck | {one.token for one in farm.leases})
        bad = {one.board: one.detail for one in farm.boards if one.verdict != "good"}
        if bad:
            self.found.leaks.append(f"boards that did not come back: {bad}")
        self.found.double_leases += len(double_leases(list(self._leases.values())))
        self._look_for_leaks()

    def _are_good(self) -> bool:
        farm = self.store.look()
        good = {one.board for one in farm.boards if one.verdict == "good"}
        return not farm.leases and good == {board.name for board in self.boards}

    def _look_for_leaks(self) -> None:
        leaks, daemon = self.found.leaks, self.daemon()
        if daemon is not None and daemon.num_fds() > 40 + 8 * len(self.boards):
            leaks.append(f"the daemon has {daemon.num_fds()} open files")
        self.command("farm", "down")
        leaks += [f"temporary file {file}" for file in self.temporary_files()]
        for board in self.boards:
            leaks += [f"{board.name} has {file}" for file in files_on(board)]
            if not _within(60, partial(_has_no_session, board)):
                leaks.append(f"{board.name} has {sessions_on(board)} sessions of SSH")
        mine = f"EDGETVM_FARM={self.store.url}".encode()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if mine in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    leaks.append(f"process {process.pid}: {' '.join(process.cmdline()[:6])}")

    def close(self) -> None:
        """End what may still run."""
        for job in self.jobs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()
        if (daemon := self.daemon()) is not None:
            daemon.terminate()
        self.store.close()


def files_on(board: EmulatedBoard) -> list[str]:
    """What sessions left on a board."""
    return board.run("find", LAYOUT.sessions, "/tmp", "-mindepth", "1").split()  # noqa: S108


def sessions_on(board: EmulatedBoard) -> int:
    """Sessions of SSH that a board has."""
    return int(board.run("sh", "-c", f"pgrep -fc '{_SESSIONS}' || true").strip() or 0)


def _has_no_session(board: EmulatedBoard) -> bool:
    return sessions_on(board) == 0


def _within(seconds: float, truth: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.5)
    return True
