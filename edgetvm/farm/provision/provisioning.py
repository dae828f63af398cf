"""Boards made ready, or as if they had never been: the steps that are missing are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from edgetvm.base.errors import BoardError
from edgetvm.farm.hands import in_hand
from edgetvm.farm.inventory import Board
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.program import board_program
from edgetvm.farm.provision.found import Found
from edgetvm.farm.provision.release import Release, make_release
from edgetvm.farm.provision.removal import removal_plan
from edgetvm.farm.provision.root import Root, StepFailedError
from edgetvm.farm.provision.session_proof import check_version, prove_session
from edgetvm.farm.provision.steps import Command, Step, changes, turns
from edgetvm.farm.provision.wishes import before, go_back, is_checked, plan
from edgetvm.farm.ssh import Connection
from edgetvm.farm.together import Outcome, on_all

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


def provision(
    boards: Sequence[Board], order: Order | None = None, told: Told | None = None
) -> dict[str, Outcome[Provisioned]]:
    """Make boards ready, several at once. A second time it changes nothing.

    It goes on wherever an earlier run was stopped. A board whose new server does not do goes back
    to the one before.

    Args:
        boards: with SSH.
        order: what is to be done.
        told: is told of each board's progress, by threads.

    Returns:
        for each board by name what came of it.
    """
    order = order or Order()
    programs = _Programs()

    def work(board: Board) -> Provisioned:
        with Connection(board, accept_new_host_key=order.accept_new_host_key) as connection:
            return _Work(board, connection, order, programs, told).do()

    title = "ask boards" if order.dry_run else "remove" if order.remove else "provision"
    return on_all(title, boards, work)


class _Programs:
    """The program for each architecture, looked for once."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._found: dict[str, bytes] = {}

    def of(self, architecture: str) -> bytes:
        with self._turn:
            if architecture not in self._found:
                self._found[architecture] = board_program(architecture).read_bytes()
            return self._found[architecture]


class _Work:
    """One board's way."""

    def __init__(
        self,
        board: Board,
        connection: Connection,
        order: Order,
        programs: _Programs,
        told: Told | None,
    ) -> None:
        self._board = board
        self._connection = connection
        self._root = Root(connection)
        self._order = order
        self._programs = programs
        self._told = told or (lambda *_: None)

    def do(self) -> Provisioned:
        found = self._root.look()
        release = None if self._order.remove else self._release(found)
        steps = self._plan(found, release)
        if self._order.dry_run:
            return Provisioned(steps, is_dry=True)
        if changes(steps):
            # Whoever has the board of a farm keeps it: its sessions would end with the server.
            with in_hand([self._board], purpose="provision"):
                self._take(steps, found, release)
                self._see_that_all_is_so(release)
        return Provisioned(steps)

    def _release(self, found: Found) -> Release:
        program = self._programs.of(found.facts.machine.architecture)
        return make_release(self._board, program, found.init)

    def _plan(self, found: Found, release: Release | None) -> tuple[Step, ...]:
        try:
            return plan(found, release) if release else removal_plan(found)
        except BoardError as error:
            error.where = error.where or self._root.where
            raise

    def _take(self, steps: Sequence[Step], found: Found, release: Release | None) -> None:
        missing = [step for step in steps if step.why]
        done = 0
        for turn in turns(missing):
            self._told(self._board.name, done, len(missing), turn[-1].title)
            try:
                self._take_turn(turn)
            except StepFailedError as failed:
                if release and failed.step.goes_back and not is_checked(found, release.name):
                    failed.fault.what += f"; {self._go_back(found, release)}"
                raise failed.fault from failed
            done += len(turn)
        self._told(self._board.name, done, len(missing), "")

    def _take_turn(self, turn: Sequence[Step]) -> None:
        if turn[0].proof:
            try:
                check_version(self._prove(), self._root.where)
            except ConnectionError:  # the way to the board broke, and not what is there
                raise
            except BoardError as error:
                raise StepFailedError(turn[0], error) from error
        self._root.take(turn)

    def _prove(self) -> str:
        answer = self._root.run([Command(("cat", LAYOUT.key_file))])
        key = answer.out.decode(errors="replace").strip()
        return prove_session(self._connection, self._board.server_port, key)

    def _go_back(self, found: Found, release: Release) -> str:
        """Bring the release before into use again; gives what came of it in words."""
        old = before(found, release)
        try:
            self._root.take([Step("what was there before", commands=go_back(found, release))])
            if not old:
                return "no server runs there, as before"
            self._prove()
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
