"""Commands as a board's root: whoever logs in is root, or may become it without a password."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edgetvm.base.errors import BoardError
from edgetvm.farm.provision.found import Found, found_script, parse_found
from edgetvm.farm.provision.steps import Command, Step
from edgetvm.farm.ssh import Answer, Connection
from edgetvm.farm.ssh.upload import storage_fault

# A line before each step's commands, so that it is known which failed.
_BEGUN = "== begun"
_FACTS_DEADLINE_S = 60.0
# As root where that can be, or else as whoever has logged in.
_ASK = (
    'if [ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null; then exec sh -s; '
    "else exec sudo -n sh -s; fi"
)

# What is said is read here, and the programs of administrators are on few accounts' PATH.
_BEGIN = (
    "set -e; LC_ALL=C; PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; "
    "export LC_ALL PATH"
)


def ask(connection: Connection) -> str:
    """What a board says of itself and of how it is provisioned, in one round trip."""
    answer = connection.run(_ASK, deadline_s=_FACTS_DEADLINE_S, stdin=found_script())
    return answer.out.decode(errors="replace")


class StepFailedError(Exception):
    """A step failed on the board.

    Attributes:
        step: which.
        fault: why, for the user.
    """

    def __init__(self, step: Step, fault: BoardError) -> None:
        super().__init__(str(fault))
        self.step = step
        self.fault = fault


class Root:
    """Who works on a board."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._by_sudo = False

    def look(self) -> Found:
        """How the board stands now.

        Raises:
            BoardError: its answer cannot be read; and what `Connection` raises.
        """
        try:
            found = parse_found(ask(self.connection))
        except BoardError as error:
            error.where = error.where or self.where
            raise
        self._by_sudo = found.by_sudo
        return found

    @property
    def where(self) -> str:
        """The board, for errors."""
        return f"board {self.connection.board.name}"

    def run(self, commands: Sequence[Command]) -> Answer:
        """Run commands in one round trip, one after the other up to the first that fails.

        At most the last may have a script or read something.

        Raises:
            what `Connection` raises.
        """
        text = "\n".join([_BEGIN, *(command.text for command in commands)])
        if self._by_sudo:
            text = f"exec sudo -n /bin/sh -c {shlex.quote(text)}"
        return self.connection.run(
            text,
            stdin=b"".join(command.stdin for command in commands),
            deadline_s=sum(command.deadline_s for command in commands),
        )

    def take(self, steps: Sequence[Step]) -> None:
        """Run the commands of steps in one round trip.

        Raises:
            StepFailedError: of the first step that failed; and what `Connection` raises.
        """
        begun = [
            command
            for step in steps
            for command in (Command(("echo", _BEGUN), deadline_s=0.0), *step.commands)
        ]
        answer = self.run(begun)
        if answer.exit_code:
            count = answer.out.decode(errors="replace").splitlines().count(_BEGUN)
            failed = steps[max(0, count - 1)]
            raise StepFailedError(failed, self._fault(answer, failed))

    def _fault(self, answer: Answer, step: Step) -> BoardError:
        return storage_fault(answer, self.where) or BoardError(
            f"{step.title}: {answer.last_words} (exit code {answer.exit_code})",
            where=self.where,
            mend="mend that on the board, then run the same command again",
        )
