"""One board's way from what it is to what it is wished to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from edgetvm.base.errors import BoardError
from edgetvm.farm.greeting import check_version
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.program import board_program
from edgetvm.farm.provision.apart import apart_from_farm
from edgetvm.farm.provision.found import Found
from edgetvm.farm.provision.release import Release, make_release
from edgetvm.farm.provision.removal import removal_plan
from edgetvm.farm.provision.root import Root, StepFailedError
from edgetvm.farm.provision.running import before, go_back, is_checked
from edgetvm.farm.provision.session_proof import probe_kernel, prove_session
from edgetvm.farm.provision.steps import Command, Step, changes, turns
from edgetvm.farm.provision.wishes import plan
from edgetvm.farm.ssh import Connection

# Is told a board's name, how many of how many steps are done, and the title of the next.
Told = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Provisioned:
    """What became of one board.

    Attributes:
        steps: that were taken, or would be.
        is_dry: whether nothing was done.
    """

    steps: tuple[Step, ...]
    is_dry: bool = False

    @property
    def changes(self) -> int:
        """How many steps were not as wished."""
        return changes(self.steps)


@dataclass(frozen=True)
class Order:
    """What is to be done.

    Attributes:
        remove: leave nothing of edgetvm behind.
        dry_run: tell what would be done.
        accept_new_host_key: note the host key of a board of which none is known.
    """

    remove: bool = False
    dry_run: bool = False
    accept_new_host_key: bool = False


class _Built:
    """What is built for each architecture, looked for once."""

    def __init__(self, build: Callable[[str], Path]) -> None:
        self._build = build
        self._turn = Lock()
        self._found: dict[str, bytes] = {}

    def of(self, architecture: str) -> bytes:
        with self._turn:
            if architecture not in self._found:
                self._found[architecture] = self._build(architecture).read_bytes()
            return self._found[architecture]


class Tools:
    """What is sent to boards: the program, and a kernel to try it with."""

    def __init__(self) -> None:
        self.programs = _Built(board_program)
        self.probes = _Built(probe_kernel)


class Work:
    """On one board."""

    def __init__(
        self, connection: Connection, order: Order, tools: Tools, told: Told | None
    ) -> None:
        """Over a connection; `told` is told of progress."""
        self._board = connection.board
        self._connection = connection
        self._root = Root(connection)
        self._order = order
        self._tools = tools
        self._told = told or (lambda *_: None)

    def do(self) -> Provisioned:
        """All of it.

        Raises:
            EdgetvmError: it failed; the sentence says what is there now.
        """
        found = self._root.look()
        release = None if self._order.remove else self._release(found)
        steps = self._plan(found, release)
        if self._order.dry_run:
            return Provisioned(steps, is_dry=True)
        if changes(steps):
            with apart_from_farm(self._board.name) as check:
                self._take(steps, found, release, check)
                self._see_that_all_is_so(release)
        return Provisioned(steps)

    def _release(self, found: Found) -> Release:
        program = self._tools.programs.of(found.facts.machine.architecture)
        return make_release(self._board, program, found.init)

    def _plan(self, found: Found, release: Release | None) -> tuple[Step, ...]:
        try:
            return plan(found, release) if release else removal_plan(found)
        except BoardError as error:
            error.where = error.where or self._root.where
            raise

    def _take(
        self,
        steps: Sequence[Step],
        found: Found,
        release: Release | None,
        check: Callable[[], None],
    ) -> None:
        missing = [step for step in steps if step.why]
        done = 0
        for turn in turns(missing):
            self._told(self._board.name, done, len(missing), turn[-1].title)
            check()
            try:
                self._take_turn(turn, found)
            except StepFailedError as failed:
                if release and failed.step.goes_back and not is_checked(found, release.name):
                    failed.fault.what += f"; {self._go_back(found, release)}"
                raise failed.fault from failed
            done += len(turn)
        self._told(self._board.name, done, len(missing), "")

    def _take_turn(self, turn: Sequence[Step], found: Found) -> None:
        if turn[0].proof:
            try:
                check_version(self._prove(found), self._board.name)
            except ConnectionError:  # the way to the board broke, and not what is there
                raise
            except BoardError as error:
                raise StepFailedError(turn[0], error) from error
        self._root.take(turn)

    def _prove(self, found: Found) -> str:
        answer = self._root.run([Command(("cat", LAYOUT.key_file))])
        key = answer.out.decode(errors="replace").strip()
        probe = self._tools.probes.of(found.facts.machine.architecture)
        return prove_session(self._connection, self._board.server_port, key, probe)

    def _go_back(self, found: Found, release: Release) -> str:
        """Bring the release before into use again; gives what came of it in words."""
        old = before(found, release)
        try:
            self._root.take([Step("what was there before", commands=go_back(found, release))])
            if not old:
                return "no server runs there, as before"
            self._prove(found)
        except (StepFailedError, BoardError) as error:
            return f"and it could not go back to what was there before: {error}"
        return f"it is back on what was there before, release {old}"

    def _see_that_all_is_so(self, release: Release | None) -> None:
        left = [step for step in self._plan(self._root.look(), release) if step.why]
        if left:
            raise BoardError(
                f"{left[0].title}: still not so, {left[0].why}",
                where=self._root.where,
                mend="did somebody else work on it? run the same command again",
            )
