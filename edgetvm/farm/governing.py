"""A board's clock governor, set for the time of a measurement and always put back.

The script that sets it stays there and puts it back when the connection ends, however that ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import resources

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import step, warn
from edgetvm.base.words import printable
from edgetvm.farm.inventory import Board
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.holding import Held
from edgetvm.farm.ssh.rights import as_root

WANTED = "performance"
_DEADLINE_S = 20.0
# The board hears from here now and then, and puts the governor back when it has not for long.
_BEAT_EVERY_S = 60.0
_SILENCE_S = 180
_NO_GOVERNORS = 3
_WHY = {
    4: f"its kernel does not have {WANTED}",
    5: "the kernel refuses it, even to the administrator",
}


@contextmanager
def governed(boards: Sequence[Board]) -> Iterator[None]:
    """Have the clock governors of boards at `performance` for as long as the block lasts.

    Only boards that the inventory has a login for are touched. Where a governor cannot be set, that
    is told in a warning, and it stays as it is.
    """
    with ExitStack() as held:
        for board in boards:
            if board.login is not None:
                with step(f"set the clock governor of {board.name}") as this:
                    this.detail = _set(board, held)
        yield


def _set(board: Board, held: ExitStack) -> str:
    """Set it until `held` is closed; what came of it, in words."""
    opened = ExitStack()
    held.callback(_close, opened)
    try:
        connection = opened.enter_context(Connection(board))
        command = opened.enter_context(connection.held(_command(), deadline_s=_DEADLINE_S))
    except BoardError as error:
        return _left(board, error.what)
    word, _, before = command.first_line.partition(" ")
    if word == "before":
        opened.callback(_beating(command).set)
        return f"{WANTED}; {before} before, and put back afterwards"
    exit_code, said = command.finish()
    if exit_code == _NO_GOVERNORS:
        return "its kernel has none"
    return _left(board, _WHY.get(exit_code) or _last_line(said))


def _close(opened: ExitStack) -> None:
    # Where the connection has broken meanwhile, the board has put the governor back by itself.
    with suppress(BoardError):
        opened.close()


def _left(board: Board, why: str) -> str:
    warn(f"{board.name}: its clock governor stays as it is: {why}")
    return "it stays as it is"


def _last_line(said: str) -> str:
    return printable((said.strip().splitlines() or ["no reason is told"])[-1])


def _command() -> str:
    script = resources.files("edgetvm.farm").joinpath("on_board/governor.sh").read_text()
    return as_root(["sh", "-c", script, "governor.sh", "set", WANTED, str(_SILENCE_S)])


def _beating(command: Held) -> threading.Event:
    """Let the board hear from here until the event is set."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_EVERY_S):
            command.say("on")

    threading.Thread(target=beat, name="governor", daemon=True).start()
    return ended
