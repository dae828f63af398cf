"""Peers on a board that SSH leads to: their wheels, the model and our few modules are brought
there, and every run is timed there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from edgetvm.base.errors import (
    BoardError,
    BoardStorageError,
    BoardTimeoutError,
    MissingToolError,
)
from edgetvm.base.files import sha256_of
from edgetvm.base.pins import installed_version
from edgetvm.farm.inventory import Board
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.holding import Held
from edgetvm.measure import board_python
from edgetvm.measure.board_python import BoardPython, packages_for, python_of
from edgetvm.measure.bringing import bring, files_in
from edgetvm.measure.peer_crews import LOAD_TIMEOUT_S, Lost, Runner
from edgetvm.measure.peers import peer_called, prepare
from edgetvm.measure.peers.case import Case, Task, Unavailable
from edgetvm.measure.peers.crew import WorkerLost

_BEGIN_S = 120.0
_TURN_GRACE_S = 180.0
_MODULE = "edgetvm.measure.peers"


def check_python(board: Board) -> None:
    """See that a board has a Python that peers run on.

    Raises:
        BoardError: it has none; or see `Connection`.
    """
    with Connection(board) as connection:
        python_of(connection)


@contextmanager
def crew_on(board: Board, tasks: Sequence[Task], lost: Lost) -> Iterator[list[Runner]]:
    """Runners on a board, until the block ends.

    Args:
        board: that the inventory has a login for.
        tasks: of one case, as this machine has it.
        lost: told of tasks that cannot be brought or loaded; of all where the board cannot run
            any: what else was measured there is not lost with them.
    """
    with ExitStack() as open_:
        runners: list[Runner] = []
        try:
            runners = _loaded(open_, board, tasks, lost)
        except BoardError as error:
            for task in tasks:
                lost(task, str(error))
        yield runners


def _loaded(open_: ExitStack, board: Board, tasks: Sequence[Task], lost: Lost) -> list[Runner]:
    connection = open_.enter_context(Connection(board))
    there = _brought(connection, python_of(connection), tasks, lost)
    if not there:
        return []
    folder = _bring_case(connection, next(iter(there)).case)
    command = connection.held(_command(connection, there), deadline_s=_BEGIN_S)
    talk = _Talk(open_.enter_context(command), board)
    talk.check_begun()
    return _started(talk, folder, there, lost)


@dataclass(frozen=True)
class _Talk:
    """Requests to the board's end, one at a time: see `edgetvm.measure.peers.on_board`."""

    held: Held
    board: Board

    def check_begun(self) -> None:
        self._told(self.held.first_line)

    def ask(self, deadline_s: float, **request: object) -> dict[str, Any]:
        try:
            answer = self.held.ask(json.dumps(request), deadline_s)
        except TimeoutError as error:
            raise BoardTimeoutError(
                f"peers did not answer within {deadline_s:g} s",
                where=f"board {self.board.name}",
                mend="is it overloaded? run the same command again",
            ) from error
        return self._told(answer)

    def _told(self, line: str) -> dict[str, Any]:
        if not line:
            raise self._ended()
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise BoardError(
                f"what runs peers there says {line[:100]!r}",
                where=f"board {self.board.name}",
                mend="an account whose shell says nothing by itself",
            ) from error
        return found

    def _ended(self) -> BoardError:
        _, said = self.held.finish()
        lines = said.strip().splitlines() or ["no reason is told"]
        return BoardError(
            f"what runs peers there has ended: {lines[-1]:.200}",
            where=f"board {self.board.name}",
            mend="has it enough memory? leave out --peer, or some of them",
        )


@dataclass(frozen=True, eq=False)
class _There:
    """A process of the board."""

    talk: _Talk
    number: int
    task: Task
    facts: Mapping[str, Any]
    error: float

    def turn(self, warm_s: float, seconds: float, least: int) -> list[int]:
        """See `Runner`."""
        asked = {"worker": self.number, "warm_s": warm_s, "seconds": seconds, "least": least}
        try:
            told = self.talk.ask(warm_s + seconds + _TURN_GRACE_S, do="turn", **asked)
        except BoardError as error:
            raise WorkerLost(str(error)) from error
        if "lost" in told:
            raise WorkerLost(told["lost"])
        return [int(one) for one in told["samples_ns"]]


def _brought(
    connection: Connection, python: BoardPython, tasks: Sequence[Task], lost: Lost
) -> dict[Task, str]:
    """Tasks whose model is converted, with the folders of the board that have their packages."""
    found: dict[Task, str] = {}
    for task in tasks:
        package = peer_called(task.engine).package
        version = installed_version(package)
        requirement = package if version is None else f"{package}=={version}"
        try:
            prepare(task)
            wheels = packages_for(python, requirement)
            found[task] = _bring_wheels(connection, wheels, requirement)
        except (Unavailable, MissingToolError, BoardStorageError) as error:
            lost(task, str(error))
    return found


def _bring_wheels(connection: Connection, wheels: Path, requirement: str) -> str:
    """The folders of a package, as in PYTHONPATH; numpy, which all need, has one of its own."""
    parts: dict[str, dict[str, Path | bytes]] = {requirement: {}, "numpy": {}}
    for name, path in files_in(wheels).items():
        is_numpy = re.match(r"numpy(\.libs|-[^/]*)?/", name) is not None
        parts["numpy" if is_numpy else requirement][name] = path
    return ":".join(
        bring(connection, f"{what.partition('=')[0].lower()}-{_digest(files)}", files, what)
        for what, files in parts.items()
        if files
    )


def _digest(files: Mapping[str, Path | bytes]) -> str:
    """Of names and sizes: what wheels hold is told by them, versions and platforms included."""
    told = [(name, path.stat().st_size) for name, path in files.items() if isinstance(path, Path)]
    return sha256_of(repr(told).encode())[:12]


def _bring_case(connection: Connection, case: Case) -> str:
    """The case's folder as it is now: with other peers it may get more conversions."""
    here = case.file.parent
    files = files_in(here)
    return bring(connection, f"case-{here.name}-{_digest(files)}", files, f"{case.name} for peers")


def _bring_code(connection: Connection) -> str:
    """The modules that load and time peers, under their own names; no other of edgetvm's."""
    files: dict[str, Path | bytes] = {
        "edgetvm/__init__.py": b"",
        "edgetvm/measure/__init__.py": b"",
    }
    for path in sorted(Path(str(resources.files(_MODULE))).glob("*.py")):
        files[f"edgetvm/measure/peers/{path.name}"] = path.read_bytes()
    digest = sha256_of(repr(files).encode())[:16]
    return bring(connection, f"code-{digest}", files, "the modules that time peers")


def _command(connection: Connection, tasks: Mapping[Task, str]) -> str:
    """Any peer's packages have the numpy that the board's end needs itself."""
    paths = f"{_bring_code(connection)}:{next(iter(tasks.values()))}"
    # Where a board's user has packages of his own, they are no part of what is timed.
    environment = f"PYTHONPATH={shlex.quote(paths)} PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1"
    return f"exec env {environment} {board_python.PROGRAM} -m {_MODULE}.on_board"


def _started(talk: _Talk, folder: str, tasks: Mapping[Task, str], lost: Lost) -> list[Runner]:
    by_name = {(task.engine, task.setting): task for task in tasks}
    first = next(iter(tasks))
    told = talk.ask(
        LOAD_TIMEOUT_S * len(tasks),
        do="start",
        folder=folder,
        name=first.case.name,
        threads=first.threads,
        timeout_s=LOAD_TIMEOUT_S,
        tasks=[
            {"engine": task.engine, "setting": task.setting, "packages": packages}
            for task, packages in tasks.items()
        ],
    )
    for one in told["lost"]:
        lost(by_name[one["engine"], one["setting"]], one["why"])
    return [
        _There(
            talk, number, by_name[one["engine"], one["setting"]], one["facts"], float(one["error"])
        )
        for number, one in enumerate(told["ready"])
    ]
