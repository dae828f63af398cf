"""Files that are sent over SSH arrive whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_sshd import Sshd, until
from ssh_servers import needs_sshd

from edgetvm.base.errors import BoardGoneError, BoardStorageError
from edgetvm.farm.ssh import Connection, upload

pytestmark = needs_sshd


def test_a_file_arrives_whole(sshd: Sshd, tmp_path: Path) -> None:
    target = tmp_path / "it's here" / "a file"
    target.parent.mkdir()
    data = os.urandom(300_000)
    with Connection(sshd.board()) as connection:
        upload(connection, b"old", str(target))
        upload(connection, data, str(target), mode=0o750)
        upload(connection, b"", str(target.parent / "empty"))
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in target.parent.iterdir()) == ["a file", "empty"]


def test_killed_in_the_middle_of_a_file(own_sshd: Sshd, tmp_path: Path) -> None:
    target = tmp_path / "there" / "model.edgetvm"
    target.parent.mkdir()
    target.write_text("the old one")
    data = os.urandom(8 << 20)

    def kill() -> None:
        until(lambda: any(part.name != target.name for part in target.parent.iterdir()))
        own_sshd.kill_sessions()

    with Connection(own_sshd.board()) as connection:
        connection.transport()
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(BoardGoneError, match="the connection broke while running a command"):
            upload(connection, data, str(target))
        killer.join()
        assert until(lambda: [part.name for part in target.parent.iterdir()] == [target.name])
        assert target.read_text() == "the old one"
        upload(connection, data, str(target))
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [("size=200k", "its disk is full"), ("size=4m,ro", "its file system is read-only")],
)
def test_a_disk_that_takes_nothing(sshd: Sshd, tmp_path: Path, options: str, words: str) -> None:
    with mounted(tmp_path / "disk", options) as folder, Connection(sshd.board()) as connection:
        with pytest.raises(BoardStorageError, match=words) as caught:
            upload(connection, bytes(1_000_000), str(folder / "file"))
        assert str(folder / "file") in str(caught.value)
        assert list(folder.iterdir()) == []


def test_an_account_with_a_limit_on_files(tmp_path: Path) -> None:
    limited = 'command="ulimit -f 64; eval \\"$SSH_ORIGINAL_COMMAND\\""'
    sshd = Sshd(tmp_path / "sshd", authorized=limited).start()
    try:
        sshd.know()
        with Connection(sshd.board()) as connection:
            with pytest.raises(BoardStorageError, match="limit on the size of files there is too"):
                upload(connection, bytes(1_000_000), str(tmp_path / "file"))
            upload(connection, b"small", str(tmp_path / "file"))
    finally:
        sshd.stop()
    assert (tmp_path / "file").read_bytes() == b"small"
    assert not list(tmp_path.glob(".file*"))


def test_folders_that_take_no_file(sshd: Sshd, tmp_path: Path) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardStorageError, match="the folder does not exist"):
            upload(connection, b"x", str(tmp_path / "none" / "file"))
        if os.getuid():
            tmp_path.chmod(0o500)
            with pytest.raises(BoardStorageError, match="the account may not write there"):
                upload(connection, b"x", str(tmp_path / "file"))
