"""Files are written aside and renamed: a reader sees the whole of one, or none."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from edgetvm.base.errors import EdgetvmError, StorageError

_MENDS = {
    errno.ENOSPC: "free some space there, or choose another folder",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EFBIG: "the file size limit of this shell is too small: see `ulimit -f`",
    errno.EACCES: "you may not write there: choose another folder or mend its permissions",
    errno.EPERM: "you may not write there: choose another folder or mend its permissions",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOENT: "the folder does not exist: make it first",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EISDIR: "the path is a folder: name a file in it",
}
_MENDS_OF_READING = {
    **_MENDS,
    errno.ENOENT: "check the path",
    errno.EACCES: "you may not read it: mend its permissions",
}


@contextmanager
def storage_errors(path: Path, mends: Mapping[int, str] = _MENDS) -> Iterator[None]:
    """Turn any OSError inside into a StorageError that names `path` and the mend.

    Args:
        mends: by the error's number; those of writing without it.

    Raises:
        StorageError: for every OSError but one that already is an edgetvm error.
    """
    try:
        yield
    except EdgetvmError:  # some are OSErrors, too: a board that is gone is a ConnectionError
        raise
    except OSError as error:
        mend = mends.get(error.errno or 0)
        raise StorageError(
            (error.strerror or str(error)).lower(), where=str(path), mend=mend
        ) from error


def read_errors(path: Path) -> AbstractContextManager[None]:
    """`storage_errors` for a file that is only read."""
    return storage_errors(path, _MENDS_OF_READING)


@contextmanager
def written_aside(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block ends without an error, and never before.

    Args:
        mode: its permissions, less what the process's umask takes away.

    Raises:
        StorageError: disk full, no permission, no such folder. Nothing is left behind.
    """
    with storage_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(mode & ~umask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        StorageError: as `written_aside`.
    """
    with written_aside(path, mode) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all.

    Raises:
        StorageError: as `written_aside`.
    """
    write_bytes(path, text.encode())


def sha256_of(data: bytes) -> str:
    """The SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        StorageError: the file cannot be read.
    """
    with storage_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_tree(path: Path) -> str:
    """Of a file, or of the names and bytes of all files in a folder.

    Raises:
        StorageError: there is neither, or a file cannot be read.
    """
    if not path.is_dir():
        return sha256_of_file(path)
    files = sorted(one for one in path.rglob("*") if one.is_file())
    lines = [f"{one.relative_to(path)} {sha256_of_file(one)}\n" for one in files]
    return sha256_of("".join(lines).encode(errors="surrogateescape"))
