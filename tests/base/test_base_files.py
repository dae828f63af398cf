"""Files are whole or not there, whatever the disk does."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardGoneError, EdgetvmError, PackageError, StorageError
from edgetvm.base.files import (
    sha256_of,
    sha256_of_file,
    sha256_of_tree,
    storage_errors,
    write_bytes,
    write_text,
    written_aside,
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 kB."""
    if os.geteuid() != 0:
        pytest.fail("these tests mount a small disk: run them as root, as in a container")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_what_is_written_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    write_text(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with written_aside(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), PackageError("mine")])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, written_aside(path) as file:
        file.write(b"new")
        raise error
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path) -> None:
    path = small_disk / "a.bin"
    write_bytes(path, b"x" * 20_000)
    with pytest.raises(StorageError) as caught:
        write_bytes(path, b"y" * 100_000)
    assert str(caught.value) == (
        f"{path}: no space left on device (free some space there, or choose another folder)"
    )
    assert caught.value.exit_code == 10
    assert path.read_bytes() == b"x" * 20_000
    assert [file.name for file in small_disk.iterdir()] == ["a.bin"]


def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    write_bytes(small_disk / "a", b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StorageError, match=r"read-only.*\(the file system is read-only: choose"):
        write_bytes(small_disk / "a", b"new")
    assert (small_disk / "a").read_bytes() == b"old"


def test_a_file_size_limit_is_told(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="ulimit -f"):
            write_bytes(tmp_path / "a", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path, mend in (
        (tmp_path / "no" / "a", "the folder does not exist: make it first"),
        (tmp_path / "file" / "a", "part of the path is a file, not a folder"),
        (tmp_path / "folder", "the path is a folder: name a file in it"),
        (tmp_path / ("n" * 300), None),
    ):
        with pytest.raises(StorageError) as caught:
            write_bytes(path, b"x")
        assert caught.value.where == str(path)
        assert caught.value.mend == mend
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_only_the_systems_errors_become_storage_errors(tmp_path: Path) -> None:
    for error in (BoardGoneError("gone"), StorageError("mine"), PackageError("mine")):
        with pytest.raises(EdgetvmError) as caught, storage_errors(tmp_path):
            raise error
        assert caught.value is error
    for number in (errno.EDQUOT, errno.EACCES, errno.EPERM):
        with pytest.raises(StorageError) as refused, storage_errors(tmp_path):
            raise OSError(number, os.strerror(number))
        assert refused.value.mend
        assert isinstance(refused.value.__cause__, OSError)


def test_sha256(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(b"abc") == abc
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(StorageError, match="no such file"):
        sha256_of_file(tmp_path / "b")


def test_a_tree_is_known_by_names_and_bytes_of_its_files_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    odd = tmp_path / "below" / os.fsdecode(b"\xff.npy")
    odd.parent.mkdir()
    odd.write_bytes(b"1")
    first = sha256_of_tree(tmp_path)
    odd.write_bytes(b"2")
    second = sha256_of_tree(tmp_path)
    odd.rename(odd.with_name("a.npy"))
    assert len({first, second, sha256_of_tree(tmp_path)}) == 3
    assert sha256_of_tree(odd.with_name("a.npy")) == sha256_of(b"2")
