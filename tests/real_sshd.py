"""Real OpenSSH servers in processes of the tests' own, on loopback, with keys of their own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from edgetvm.farm import Board
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def new_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A key pair; gives the private part's file."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)],
        check=True,
    )
    return path


def until(true: Callable[[], object], within_s: float = 20.0) -> bool:
    """Wait until something is true; False if it is not in time."""
    end_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sshd:
    """A server that lets this user in, with the key `user_key`."""

    def __init__(
        self,
        folder: Path,
        authorized: str = "",
        address: str = "127.0.0.1",
        inside: tuple[str, ...] = (),
    ) -> None:
        """`authorized` are options for its key; `inside` is a command that runs the server."""
        self.folder = folder
        self.address = address
        self._inside = inside
        folder.mkdir(parents=True)
        self.port = free_port()
        self.user_key = new_key(folder / "user_key")
        new_key(folder / "host_key")
        public = (folder / "user_key.pub").read_text()
        (folder / "authorized_keys").write_text(f"{authorized} {public}".lstrip())
        (folder / "config").write_text(
            _CONFIG.format(port=self.port, folder=folder, address=address)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        assert PROGRAM is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._inside, PROGRAM, "-D", "-e", "-f", str(self.folder / "config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        assert until(self._listens), (self.folder / "log").read_text()
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def processes(self) -> list[psutil.Process]:
        """Those of its sessions."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def signal_all(self, number: int) -> None:
        """Send a signal to the server and to its sessions."""
        assert self._process is not None
        for process in (psutil.Process(self._process.pid), *self.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill_sessions(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith("sshd"):
                    process.kill()

    def new_host_key(self) -> None:
        """Install it anew: another host key from now on."""
        self.stop()
        for path in self.folder.glob("host_key*"):
            path.unlink()
        new_key(self.folder / "host_key")
        self.start()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            sessions = self.processes()
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            for process in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            # A child that was just being made may still hold the port.
            assert until(lambda: not self._listens())

    def login(self, jump: tuple[Hop, ...] = (), **others: object) -> Login:
        hop = Hop(self.address, self.port, getpass.getuser())
        return Login(hop, jump, **{"key_file": self.user_key, **others})  # type: ignore[arg-type]

    def board(self, **others: object) -> Board:
        return Board("kitchen", "local", login=self.login(**others))  # type: ignore[arg-type]

    def know(self) -> None:
        """Write its host key into the known_hosts of this test's home."""
        path = Path.home() / ".ssh" / "known_hosts"
        path.parent.mkdir(exist_ok=True)
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        with path.open("a") as file:
            file.write(f"[{self.address}]:{self.port} {kind} {key}\n")
