"""The cache, used by several real processes at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgetvm.base import cache
from edgetvm.base.errors import StorageError, UsageError

# Makes the entry {"n": 1}: notes that it began, works as long as the file `go` is missing.
MAKER = """
import pathlib, sys, time
from edgetvm.base import cache
shared = pathlib.Path(sys.argv[1])
def make(folder):
    (folder / "half").write_text("half")
    with (shared / "makers").open("a") as file:
        file.write("one\\n")
    while not (shared / "go").exists():
        time.sleep(0.01)
    (folder / "whole").write_text("whole")
folder, was_there = cache.get_or_make("things", {"n": 1}, make)
print(was_there, sorted(path.name for path in folder.iterdir()))
"""


@pytest.fixture(autouse=True)
def built_once() -> None:
    """Nothing of other tests is in these caches."""


def start_maker(shared: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(shared)], stdout=subprocess.PIPE, text=True
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


def made(text: str = "x") -> Path:
    folder, _ = cache.get_or_make("things", {"text": text}, lambda f: fill(f, text))
    return folder


def fill(folder: Path, text: str) -> None:
    (folder / "a.txt").write_text(text)


def test_an_entry_is_made_once() -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        fill(folder, "x")

    first, was_there = cache.get_or_make("things", {"b": 1, "a": [2, None]}, make)
    assert not was_there
    assert (first / "a.txt").read_text() == "x"
    again, was_there = cache.get_or_make("things", {"a": [2, None], "b": 1}, make)
    assert was_there
    assert again == first
    assert len(calls) == 1
    other, _ = cache.get_or_make("things", {"a": [2, None], "b": 2}, make)
    assert other != first


def test_what_fails_is_not_kept(isolated_home: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder, "half")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cache.get_or_make("things", {"n": 1}, fail)
    assert cache.entries() == []
    assert not list(isolated_home.rglob("a.txt"))
    assert cache.get_or_make("things", {"n": 1}, lambda folder: fill(folder, "x"))[1] is False


def test_two_processes_make_an_entry_once(tmp_path: Path) -> None:
    processes = [start_maker(tmp_path) for _ in range(3)]
    wait_for(tmp_path / "makers")
    (tmp_path / "go").touch()
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    files = "['.depends-on.json', 'half', 'whole']"
    assert said == [f"False {files}", f"True {files}", f"True {files}"]
    assert (tmp_path / "makers").read_text() == "one\n"


def test_a_killed_maker_leaves_no_half_entry(tmp_path: Path) -> None:
    maker = start_maker(tmp_path)
    wait_for(tmp_path / "makers")
    maker.send_signal(signal.SIGKILL)
    maker.communicate(timeout=60)
    assert maker.returncode == -signal.SIGKILL
    assert cache.entries() == []
    (tmp_path / "go").touch()
    said = start_maker(tmp_path).communicate(timeout=60)[0].strip()
    assert said == "False ['.depends-on.json', 'half', 'whole']"
    (entry,) = cache.entries()
    # What the killed one left aside is gone, too.
    assert [path.name for path in entry.path.parent.iterdir()] == [entry.key]


def test_entries_tell_what_they_hold() -> None:
    assert cache.entries() == []
    folder = made("hello")
    cache.get_or_make("others", {"n": 2}, lambda f: fill(f, "xy"))
    first, second = cache.entries()
    assert (first.kind, second.kind) == ("others", "things")
    assert second.path == folder
    assert second.key == folder.name
    assert len(second.key) == 32
    assert json.loads(second.description) == {"text": "hello"}
    assert second.size_bytes == len("hello") + len('{"text": "hello"}')


def test_clear_removes_a_kind_or_all() -> None:
    made("a")
    made("b")
    cache.get_or_make("others", {"n": 2}, lambda f: fill(f, "xy"))
    sizes = {entry.kind: entry.size_bytes for entry in cache.entries()}
    with pytest.raises(UsageError, match=r"holds no wheels \(it holds others, things\)"):
        cache.clear("wheels")
    assert cache.clear("others") == sizes["others"]
    assert [entry.kind for entry in cache.entries()] == ["things", "things"]
    assert cache.clear() == 2 * sizes["things"]
    assert cache.entries() == []
    assert cache.clear() == 0
    with pytest.raises(UsageError, match="it holds nothing"):
        cache.clear("things")
    assert made("a").is_dir()


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="part of the path is a file"):
        made()


def test_a_read_only_cache_serves_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test mounts a disk: run it as root, as in a container")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        folder = made("a")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert made("a") == folder
        with pytest.raises(StorageError, match="the file system is read-only"):
            made("b")
        with pytest.raises(StorageError, match="the file system is read-only"):
            cache.clear()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
