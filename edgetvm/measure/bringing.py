"""Folders to a board: brought once, under a name that tells what is in them."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import step
from edgetvm.base.units import format_bytes
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.upload import storage_fault
from edgetvm.measure import board_python

# In the account's home; whatever lies in it can be brought again.
_PLACE = ".cache/edgetvm/brought"
_DEADLINE_S = 300.0
# A board of the slowest kind still takes so much.
_LEAST_BYTES_A_S = 20_000
# The archive itself is never on the board's disk. One that was cut off has no right end.
_UNPACK = """
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as archive:
    archive.extractall(sys.argv[1])
"""


def bring(connection: Connection, name: str, files: Mapping[str, Path | bytes], what: str) -> str:
    """Have files in a folder of the board's account.

    The board's own Python unpacks them.

    Args:
        connection: to the board.
        name: of the folder; another one for other content.
        files: by their paths in the folder: from where, or their bytes.
        what: they are, in words.

    Returns:
        the folder's absolute path there.

    Raises:
        BoardStorageError: its disk is full, or the account may not write there.
        BoardError: it cannot unpack them; or see `Connection`.
    """
    where = f"board {connection.board.name}"
    find = f'mkdir -p {_PLACE} && cd {_PLACE} && pwd && test -d "$PWD/"{shlex.quote(name)}'
    found = connection.run(find, deadline_s=_DEADLINE_S)
    place = found.out.decode(errors="replace").strip()
    if not place:
        raise storage_fault(found, where) or BoardError(
            f"no folder is made there: {found.last_words}", where=where
        )
    folder = f"{place}/{name}"
    if found.exit_code:
        with step(f"bring {what} to {connection.board.name}") as this:
            data = _packed(files)
            this.detail = format_bytes(len(data))
            done = connection.run(_unpacking(folder), deadline_s=_time_for(data), stdin=data)
            if done.exit_code:
                raise storage_fault(done, where) or BoardError(
                    f"it cannot unpack {what}: {done.last_words}", where=where
                )
    return folder


def _unpacking(folder: str) -> str:
    """A command that makes a folder of the archive that it reads: whole, or not at all.

    Whoever brings the same at the same time has another process, and so another place for it.
    """
    whole = shlex.quote(folder)
    aside = f"{whole}.$$"
    unpack = f"mkdir {aside} && {board_python.PROGRAM} -c {shlex.quote(_UNPACK)} {aside}"
    place = f"{{ test -d {whole} || mv {aside} {whole}; }}"
    return f"{unpack} && {place}; code=$?; rm -rf {aside}; exit $code"


def _time_for(data: bytes) -> float:
    return _DEADLINE_S + len(data) / _LEAST_BYTES_A_S


def files_in(folder: Path) -> dict[str, Path | bytes]:
    """All files of a folder, by their paths in it; links are left out."""
    return {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _packed(files: Mapping[str, Path | bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            if isinstance(content, Path):
                archive.add(content, name)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
