"""A release: all that runs on a board, in one folder whose name is the hash of what is in it.

Nothing in it changes once it is there, so going back to the one before is a matter of one link.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources

from edgetvm.base.files import sha256_of
from edgetvm.farm.inventory import Board
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.inits import AT_BOOT, Init

PROGRAM = "edgetvm-board"
SERVER = "server"
SETTINGS = "settings"
SUMS = "sums"
# Written where a session with the release's server went well.
CHECKED = "checked"

_PROGRAMS = (PROGRAM, SERVER)
_NAME_DIGITS = 12
# Of the board's memory, for the server with all its sessions.
_MEMORY_PERCENT = 90
_MOST_TASKS = 512
# It listens after milliseconds; a board may have other things to do.
_START_DEADLINE_S = 15


@dataclass(frozen=True)
class Release:
    """What is to run on a board.

    Attributes:
        name: of its folder, 12 hexadecimal digits.
        files: what is in that folder.
        init: that starts it.
        port: that its server listens on.
    """

    name: str
    files: Mapping[str, bytes]
    init: Init
    port: int

    @property
    def folder(self) -> str:
        """On the board."""
        return f"{LAYOUT.releases}/{self.name}"

    @property
    def sums(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {name: sha256_of(data) for name, data in self.files.items()}

    def archive(self) -> bytes:
        """All of it as a tar file."""
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                member.mode = 0o755 if name in _PROGRAMS else 0o644
                tar.addfile(member, io.BytesIO(data))
        return made.getvalue()


def make_release(board: Board, program: bytes, init: Init) -> Release:
    """What is to run on a board.

    Args:
        board: whose port and limits count.
        program: `edgetvm-board` for its architecture.
        init: that starts it.
    """
    arguments = _arguments(board)
    files = {
        PROGRAM: program,
        SERVER: resources.files("edgetvm.farm").joinpath("on_board/server.sh").read_bytes(),
        SETTINGS: _settings(board, arguments),
    }
    # The file for the init names the release, so its text is hashed before that is known.
    name = _hash(files | {AT_BOOT: _at_boot(init, arguments, "")})
    files[AT_BOOT] = _at_boot(init, arguments, f"{LAYOUT.releases}/{name}/{PROGRAM}")
    sums = "".join(f"{sha256_of(data)}  {file}\n" for file, data in files.items())
    return Release(name, files | {SUMS: sums.encode()}, init, board.server_port)


def _arguments(board: Board) -> str:
    limits = board.limits
    words = ["serve", "--port", str(board.server_port)]
    words += ["--key-file", LAYOUT.key_file, "--folder", LAYOUT.sessions]
    if limits.memory_bytes:
        words += ["--memory", str(max(1, limits.memory_bytes >> 20))]
    if limits.time_s:
        words += ["--session-limit", str(max(1, round(limits.time_s)))]
    return shlex.join(words)


def shell_names() -> str:
    """The names of the layout as a shell's variables."""
    names = asdict(LAYOUT) | {"key_file": LAYOUT.key_file, "log_file": LAYOUT.log_file}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in names.items())


def _settings(board: Board, arguments: str) -> bytes:
    more = {
        "port": board.server_port,
        "arguments": shlex.quote(arguments),
        "memory_percent": _MEMORY_PERCENT,
        "most_tasks": _MOST_TASKS,
        "start_deadline_s": _START_DEADLINE_S,
    }
    return (shell_names() + "".join(f"{key}={one}\n" for key, one in more.items())).encode()


def _at_boot(init: Init, arguments: str, program: str) -> bytes:
    return init.text.format(
        program=program,
        arguments=arguments,
        account=LAYOUT.account,
        sessions=LAYOUT.sessions,
        service=LAYOUT.service,
        server=LAYOUT.server,
        memory_percent=_MEMORY_PERCENT,
        most_tasks=_MOST_TASKS,
    ).encode()


def _hash(files: Mapping[str, bytes]) -> str:
    found = hashlib.sha256()
    for name, data in files.items():
        found.update(f"{name} {len(data)}\n".encode() + data)
    return found.hexdigest()[:_NAME_DIGITS]
