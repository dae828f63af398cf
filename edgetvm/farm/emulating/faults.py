"""What befalls boards, caused for real on an emulated one.

Most are context managers: the fault is there while the block runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgetvm.farm.emulating.board import EmulatedBoard
from edgetvm.farm.emulating.keys import new_key

_PID_FILE = "/run/sshd.pid"
_STOP = f"pid=$(cat {_PID_FILE}); kill $pid; while kill -0 $pid; do sleep 0.02; done 2>/dev/null"
_FAKETIME = "libfaketime.so.1"


@contextmanager
def sshd_stopped(board: EmulatedBoard) -> Iterator[None]:
    """Nothing listens at the board's SSH port. Sessions that are open stay."""
    board.run("sh", "-c", _STOP)
    try:
        yield
    finally:
        board.run("/etc/start-sshd")
        board.wait_for_ssh()


@contextmanager
def sshd_mute(board: EmulatedBoard) -> Iterator[None]:
    """The SSH server takes connections and never says a word. Sessions that are open stay."""
    _signal_sshd(board, "STOP")
    try:
        yield
    finally:
        _signal_sshd(board, "CONT")


@contextmanager
def frozen(board: EmulatedBoard) -> Iterator[None]:
    """Every process stands still, and the kernel still takes connections."""
    board.run("sh", "-c", "kill -STOP -1")
    try:
        yield
    finally:
        board.run("sh", "-c", "kill -CONT -1")


def sessions_killed(board: EmulatedBoard) -> None:
    """Every SSH session ends at once. The server stays."""
    board.run("pkill", "-KILL", "-f", "^sshd: [a-z]+( |@|$)")


@contextmanager
def link_down(board: EmulatedBoard) -> Iterator[None]:
    """Its network cable is pulled: what is sent is lost, and nobody is told."""
    board.set_link("down")
    try:
        yield
    finally:
        board.set_link("up")
        board.wait_for_ssh()


@contextmanager
def link_impaired(
    board: EmulatedBoard, loss: float = 0.0, delay_ms: float = 0.0, bytes_per_s: float = 0.0
) -> Iterator[None]:
    """Its network loses a share of what is sent, in both directions, and delays the rest.

    It carries at most `bytes_per_s` each way where that is not 0.
    """
    with board.impaired(loss, delay_ms, bytes_per_s):
        yield


@contextmanager
def disk_full(board: EmulatedBoard, free_bytes: int = 0) -> Iterator[None]:
    """Its disk has no more room than that. /tmp and /run, which lie in memory, have theirs."""
    board.resize_disk(free_bytes)
    try:
        yield
    finally:
        board.resize_disk(None)


@contextmanager
def read_only(board: EmulatedBoard) -> Iterator[None]:
    """Its disk takes nothing, as after an error of the medium.

    Raises:
        BoardError: a file is open for writing there at the moment.
    """
    with _mounted(board, "/", "ro", "rw"):
        yield


@contextmanager
def noexec_tmp(board: EmulatedBoard) -> Iterator[None]:
    """No program can be run from /tmp."""
    with _mounted(board, "/tmp", "noexec", "exec"):  # noqa: S108 - the board's
        yield


@contextmanager
def _mounted(board: EmulatedBoard, folder: str, option: str, usual: str) -> Iterator[None]:
    board.run("mount", "-o", f"remount,{option}", folder)
    try:
        yield
    finally:
        board.run("mount", "-o", f"remount,{usual}", folder)


@contextmanager
def clock_off(board: EmulatedBoard, seconds: int) -> Iterator[None]:
    """Its clock is wrong by so much, to all programs with a C library that a login starts.

    Not to those that sudo starts: it takes the library away that does it.
    """
    library = board.run("find", "/usr/lib", "-name", _FAKETIME).strip()
    config = board.root / "etc/ssh/sshd_config"
    usual = config.read_text()
    words = f"LD_PRELOAD={library} FAKETIME={seconds:+d}s FAKETIME_DONT_FAKE_MONOTONIC=1"
    _restart_sshd(board, lambda: config.write_text(f"{usual}SetEnv {words}\n"))
    try:
        yield
    finally:
        _restart_sshd(board, lambda: config.write_text(usual))


def new_host_key(board: EmulatedBoard) -> None:
    """It was installed anew: another host key from now on."""

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            new_key(Path(folder) / "key")
            for suffix in ("", ".pub"):
                text = (Path(folder) / f"key{suffix}").read_text()
                (board.root / f"etc/ssh/ssh_host_ed25519_key{suffix}").write_text(text)

    _restart_sshd(board, write)


def _restart_sshd(board: EmulatedBoard, meanwhile: Callable[[], object]) -> None:
    with sshd_stopped(board):
        meanwhile()


def _signal_sshd(board: EmulatedBoard, name: str) -> None:
    board.run("sh", "-c", f"kill -{name} $(cat {_PID_FILE})")
