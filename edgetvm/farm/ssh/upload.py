"""Files to a board: written aside there, compared and renamed."""

from __future__ import annotations

import re
import shlex
from importlib import resources

from edgetvm.base.errors import BoardError, BoardStorageError
from edgetvm.base.files import sha256_of
from edgetvm.farm.ssh.connection import Answer, Connection

_DEADLINE_S = 60.0
# A board of the slowest kind still takes so much.
_LEAST_BYTES_A_S = 20_000
_ALTERED = 3

# What the board's own programs say, to what is told. The first that fits.
_STORAGE_FAULTS = [
    ("No space left on device", "its disk is full", "free some space there"),
    ("[Qq]uota exceeded", "the account's disk quota there is used up", "free some space there"),
    (
        "[Ff]ile size limit|File too large|SIGXFSZ",
        "the account's limit on the size of files there is too small",
        "raise it: see `ulimit -f` there",
    ),
    ("Read-only file system", "its file system is read-only", "mount it for writing"),
    (
        "Permission denied|Operation not permitted",
        "the account may not write there",
        "check the permissions",
    ),
    ("No such file or directory|nonexistent", "the folder does not exist", "make it first"),
    ("Is a directory", "a folder of that name is there", "choose another name"),
    ("sha256sum: .*not found", "it has no sha256sum", "install coreutils or busybox there"),
]


def upload(connection: Connection, data: bytes, path: str, mode: int = 0o644) -> None:
    """Write a file on the board: the whole of it, or none.

    Args:
        connection: to the board.
        data: its bytes.
        path: absolute, or in the account's home; its folder is there.
        mode: permissions.

    Raises:
        BoardStorageError: disk full, read-only, no permission; says which.
        BoardError: it arrived altered, and everything that `Connection` raises.
    """
    script = resources.files("edgetvm.farm").joinpath("on_board/receive.sh").read_text()
    words = ["receive", path, sha256_of(data), f"{mode:o}"]
    answer = connection.run(
        f"set -- {shlex.join(words[1:])}\n{script}",
        stdin=data,
        deadline_s=_DEADLINE_S + len(data) / _LEAST_BYTES_A_S,
    )
    if answer.exit_code:
        raise _failed(answer, path, f"board {connection.board.name}")


def storage_fault(answer: Answer, where: str) -> BoardStorageError | None:
    """What a command that failed says of the board's disk; None where that is not why."""
    said = answer.err.decode(errors="replace")
    for pattern, what, mend in _STORAGE_FAULTS:
        if re.search(pattern, said):
            return BoardStorageError(what, where=where, mend=mend)
    return None


def _failed(answer: Answer, path: str, board: str) -> BoardError:
    where = f"{board}, {path}"
    if fault := storage_fault(answer, where):
        return fault
    if answer.exit_code == _ALTERED:
        return BoardError(
            "the file arrived altered", where=where, mend="run the same command again"
        )
    return BoardStorageError(
        f"it cannot be written: {answer.last_words} (exit code {answer.exit_code})", where=where
    )
