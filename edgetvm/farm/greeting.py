"""Host and board tell each other who they are, before anything else is said."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib import resources

from edgetvm.base.errors import BoardError, BoardNotProvisionedError
from edgetvm.base.version import __version__
from edgetvm.base.words import printable
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.ssh import Answer, Connection

_DEADLINE_S = 20.0
_VERSION = re.compile(r"edgetvm-board (\S+) \(\S+\)")
# How the script ends where it cannot tell all: the kind of error, what is told, and the mend.
_FAULTS: dict[int, tuple[type[BoardError], str, str]] = {
    3: (
        BoardNotProvisionedError,
        "edgetvm's program is not there",
        "provision it: edgetvm provision {name}",
    ),
    4: (
        BoardNotProvisionedError,
        "the key of its server is not there, or this account may not read it",
        "provision it again (edgetvm provision {name}), or let the account run sudo without a "
        "password",
    ),
    5: (
        BoardError,
        "edgetvm's program does not run there",
        "provision it again: edgetvm provision {name}",
    ),
}


@dataclass(frozen=True)
class Greeting:
    """What a provisioned board says of itself.

    Attributes:
        version: of its program.
        key: that lets clients of its server in.
        process: that serves the connection: PID, start and the board's boot.
    """

    version: str
    key: str
    process: tuple[str, str, str]


def greet(connection: Connection, ended: tuple[str, str, str] | None = None) -> Greeting:
    """Ask a board for its version and key.

    Args:
        connection: to the board.
        ended: the process of a connection before this one, which is ended there: until then the
            board's server believes in its client.

    Raises:
        BoardNotProvisionedError: there is no program, or no key that this account may read.
        BoardError: its program does not run, or is of another version; and what `Connection`
            raises.
    """
    script = resources.files("edgetvm.farm").joinpath("on_board/greet.sh").read_text()
    words = shlex.join([LAYOUT.program, LAYOUT.key_file, *(ended or ())])
    answer = connection.run(f"set -- {words}\n{script}", deadline_s=_DEADLINE_S)
    name = connection.board.name
    greeting = _read(answer, name)
    check_version(greeting.version, name)
    return greeting


def _read(answer: Answer, name: str) -> Greeting:
    if answer.exit_code in _FAULTS:
        kind, what, mend = _FAULTS[answer.exit_code]
        raise kind(what, where=f"board {name}", mend=mend.format(name=name))
    lines = answer.out.decode(errors="replace").splitlines()
    version = _VERSION.fullmatch(lines[0]) if len(lines) == 3 else None
    if answer.exit_code or version is None or len(lines[2].split()) != 3:
        raise BoardError(
            f"it does not greet as a provisioned board does; it says: {answer.last_words}",
            where=f"board {name}",
            mend=f"provision it again: edgetvm provision {name}",
        )
    pid, began, boot_id = lines[2].split()
    return Greeting(printable(version[1]), lines[1].strip(), (pid, began, boot_id))


def check_version(version: str, name: str) -> None:
    """Refuse a board whose program is not of this version.

    Raises:
        BoardError: with both versions and the mend.
    """
    if version != __version__:
        raise BoardError(
            f"its program is edgetvm {version}, and this is edgetvm {__version__}",
            where=f"board {name}",
            mend=f"bring it this one's: edgetvm provision {name}; or start such a server there",
        )
