"""The way to a board that SSH leads to, and that `edgetvm provision` made ready."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from dataclasses import replace

from edgetvm.base.errors import BoardError, BoardNotProvisionedError, BoardTimeoutError
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.ways import NotPossible
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.link import Link
from edgetvm.farm.powering import set_power
from edgetvm.farm.ssh import Connection, Deadlines
from edgetvm.farm.ssh.rights import as_root
from edgetvm.farm.tracker_client import Address

_NOT_THERE = 77
_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
_ASK_S = 10.0
_AGAIN_S = 2.0


class Linked:
    """A board elsewhere: its server is replaced there, and registered from here."""

    def __init__(self, board: Board, tracker: Address, deadlines: Deadlines | None = None) -> None:
        """Describe it; nothing is opened.

        Args:
            board: with a login.
            tracker: of the farm.
            deadlines: of SSH.
        """
        self.tracker = tracker
        self._board, self._deadlines = board, deadlines
        self._link: Link | None = None

    @property
    def is_up(self) -> bool:
        return self._link is not None and self._link.fault is None

    def serve(self, key: str, deadline_s: float) -> str:
        self.close()
        with self._connection() as connection:
            self._as_root(connection, [LAYOUT.server, "new-key"], deadline_s)
        self._open(key)
        return key

    def resume(self, key: str, deadline_s: float) -> None:
        """The board's own key stays: whoever has the lease may go on in the same session."""
        self.close()
        self._open(key)

    def reconnect(self, deadline_s: float) -> None:
        self.close()
        with self._connection() as connection:
            connection.prove_alive()

    def end_strays(self, deadline_s: float) -> None:
        """All that runs as the server's account, or in its control group, ends with it."""
        with self._connection() as connection:
            self._as_root(connection, [LAYOUT.server, "restart"], deadline_s)

    def reboot(self, deadline_s: float) -> None:
        until_s = time.monotonic() + deadline_s
        self.close()
        with self._connection() as connection:
            before = self._boot_id(connection)
            # It may take the connection with it before it answers.
            with suppress(BoardError):
                self._as_root(connection, ["reboot"], _ASK_S)
        self._wait_for_another_boot(before, until_s)

    def power_cycle(self, deadline_s: float) -> None:
        if self._board.power is None:
            raise NotPossible("the inventory does not say how its power is switched")
        until_s, before = time.monotonic() + deadline_s, ""
        self.close()
        with suppress(BoardError), self._connection() as connection:
            before = self._boot_id(connection)
        set_power(self._board, "cycle")
        self._wait_for_another_boot(before, until_s)

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _connection(self) -> Connection:
        return Connection(self._board, self._deadlines)

    def _open(self, key: str) -> None:
        link = Link(replace(self._board, key=key), self.tracker, self._deadlines)
        try:
            link.open()
        except BaseException:
            link.close()
            raise
        self._link = link

    def _as_root(self, connection: Connection, words: list[str], deadline_s: float) -> None:
        command = as_root(words)
        if words[0] == LAYOUT.server:
            command = f"[ -x {LAYOUT.server} ] || exit {_NOT_THERE}; {command}"
        answer = connection.run(command, deadline_s=deadline_s)
        if answer.exit_code == _NOT_THERE:
            raise BoardNotProvisionedError(
                "edgetvm's program is not there",
                where=f"board {self._board.name}",
                mend=f"provision it: edgetvm provision {self._board.name}",
            )
        if answer.exit_code:
            raise BoardError(
                f"{shlex.join(words)} fails there: {answer.last_words}",
                where=f"board {self._board.name}",
                mend=f"provision it again: edgetvm provision {self._board.name}",
            )

    def _boot_id(self, connection: Connection) -> str:
        return connection.run(_BOOT_ID, deadline_s=_ASK_S).out.decode(errors="replace").strip()

    def _wait_for_another_boot(self, before: str, until_s: float) -> None:
        """Until its system is another than before: a connection alone may be to the dying one."""
        while time.monotonic() < until_s:
            with suppress(BoardError), self._connection() as connection:
                now = self._boot_id(connection)
                if now and now != before:
                    return
            time.sleep(_AGAIN_S)
        raise BoardTimeoutError(
            "it did not come up again in time", where=f"board {self._board.name}"
        )
