"""Provisioned boards: networks and file systems of their own, real sshd, edgetvm's program."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psutil
import pytest
from program_board import PROFILES, program_command
from real_board import within
from real_sshd import Sshd

from edgetvm.base.version import __version__
from edgetvm.farm import Board
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login
from edgetvm.farm.layout_on_board import LAYOUT

_IP = shutil.which("ip", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
_NUMBERS = count()
# What the tests may change of a board's file system, by its name there.
_CPUS = "/sys/devices/system/cpu"
_OWN_FOLDERS = ("/opt", "/var/lib", "/run", _CPUS)


@cache
def _net() -> str:
    """Of this process's boards, of RFC 2544's range for tests of networks: no other process has it.

    The lock is held until this process ends.
    """
    for number in range(256):
        lock = os.open(f"/tmp/edgetvm-test-net-{number}", os.O_CREAT | os.O_RDWR, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return f"198.19.{number}"
        os.close(lock)
    raise RuntimeError("all networks for tests are taken")


def _ip(*words: str) -> int:
    return subprocess.run([str(_IP), *words], capture_output=True, check=False).returncode


class FarBoard:
    """A board: a network namespace on a cable, an SSH server, and edgetvm's server.

    Attributes:
        files: its file system's part that is its own.
        sshd: its SSH server.
        server: the process of edgetvm's server.
    """

    def __init__(self, folder: Path, architecture: str = "x86_64") -> None:
        number = next(_NUMBERS)
        self.network = f"et{os.getpid()}-{number}"
        self.files = folder / "files"
        self.key = ""
        self.name = f"far{number}"
        self.port = 9090
        self._profile = PROFILES[architecture]
        self._command = program_command(architecture)
        self._first = 4 * number % 252
        self.address = f"{_net()}.{self._first + 2}"
        self.server: subprocess.Popen[bytes] | None = None
        binds = "; ".join(f"mount --bind {self.files}{one} {one}" for one in _OWN_FOLDERS)
        self.inside = (
            *(str(_IP), "netns", "exec", self.network),
            *("sh", "-c", f'set -e; {binds}; exec "$@"', "sh"),
        )
        self.sshd = Sshd(folder / "sshd", address=self.address, inside=self.inside)

    def start(self) -> FarBoard:
        """Connect the cable and start everything.

        Skips the test where this user may not make network namespaces.
        """
        if _IP is None or _ip("netns", "add", self.network):
            pytest.skip("this user may not make network namespaces")
        near = f"{_net()}.{self._first + 1}/30"
        made = [
            _ip(*f"link add {self.network} type veth peer name eth0 netns {self.network}".split()),
            _ip("addr", "add", near, "dev", self.network),
            _ip("link", "set", self.network, "up"),
            _ip(*f"-n {self.network} addr add {self.address}/30 dev eth0".split()),
            _ip("-n", self.network, "link", "set", "eth0", "up"),
            _ip("-n", self.network, "link", "set", "lo", "up"),
        ]
        if any(made):
            pytest.skip("this machine makes no pairs of network devices")
        for one in _OWN_FOLDERS:
            self.path(one).mkdir(parents=True)
        self.path("/run/sshd").mkdir()
        for core in range(2):
            folder = self.path(f"{_CPUS}/cpu{core}/cpufreq")
            folder.mkdir(parents=True)
            (folder / "scaling_available_governors").write_text("ondemand performance\n")
            (folder / "scaling_governor").write_text("ondemand\n")
        self.provision()
        self.start_server()
        self.sshd.start()
        self.sshd.know()
        return self

    def provision(self, version: str = __version__) -> None:
        """Put the program where a provisioned board has it, and a key of its own."""
        self.path(LAYOUT.program).parent.mkdir(parents=True, exist_ok=True)
        self.path(LAYOUT.key_file).parent.mkdir(parents=True, exist_ok=True)
        say = f'[ "$1" = version ] && echo "edgetvm-board {version} (test)" && exit'
        run = f'exec {" ".join(self._command)} "$@"'
        self.path(LAYOUT.program).write_text(f"#!/bin/sh\n{say}\n{run}\n")
        self.path(LAYOUT.program).chmod(0o755)
        self.key = secrets.token_hex(16)
        self.path(LAYOUT.key_file).write_text(f"{self.key}\n")

    @property
    def governors(self) -> set[str]:
        """Those that its cores have now."""
        files = self.path(_CPUS).glob("cpu*/cpufreq/scaling_governor")
        return {file.read_text().strip() for file in files}

    def path(self, there: str) -> Path:
        """A file of the board's, as this machine sees it."""
        return self.files / there[1:]

    def start_server(self, *options: str) -> None:
        """Start edgetvm's server, as the board's system does."""
        words = ["serve", "--key", self.key, "--port", str(self.port), *options]
        self.server = subprocess.Popen(
            [*self.inside, *self._command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop_server(self, number: int = signal.SIGKILL) -> None:
        """End edgetvm's server."""
        assert self.server is not None
        self.server.send_signal(number)
        self.server.wait()

    def sessions(self) -> list[psutil.Process]:
        """The processes of the server's clients."""
        assert self.server is not None
        return psutil.Process(self.server.pid).children()

    def signal_server(self, number: int) -> None:
        """Send a signal to the server and all its sessions."""
        assert self.server is not None
        for process in (psutil.Process(self.server.pid), *self.sessions()):
            process.send_signal(number)

    def plug(self, state: str) -> None:
        """Pull the cable (`down`), or put it back (`up`)."""
        assert _ip("-n", self.network, "link", "set", "eth0", state) == 0

    def board(self, **others: object) -> Board:
        """As the inventory has it."""
        login = Login(
            Hop(self.address, self.sshd.port, getpass.getuser()), key_file=self.sshd.user_key
        )
        return Board(self.name, self._profile, login=login, **others)  # type: ignore[arg-type]

    def stop(self) -> None:
        """End all of it."""
        if self.server is not None and self.server.poll() is None:
            self.signal_server(signal.SIGCONT)
            self.stop_server(signal.SIGTERM)
        self.sshd.stop()
        _ip("netns", "del", self.network)
        assert within(5, lambda: not Path(f"/sys/class/net/{self.network}").exists())


@contextmanager
def far_board(folder: Path, architecture: str = "x86_64") -> Iterator[FarBoard]:
    """A board that is up and provisioned."""
    board = FarBoard(folder, architecture)
    try:
        yield board.start()
    finally:
        board.stop()
