"""One emulated board: namespaces of its own, with a root file system and a real OpenSSH server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.boards.profile import load_profile
from edgetvm.farm.emulating.commands import ran
from edgetvm.farm.emulating.conditions import Conditions
from edgetvm.farm.emulating.groups import make_groups
from edgetvm.farm.emulating.keys import kept_key, user_key
from edgetvm.farm.emulating.lab import Lab, script
from edgetvm.farm.emulating.leftovers import link_name
from edgetvm.farm.emulating.machine import write_machine
from edgetvm.farm.emulating.needs import program
from edgetvm.farm.emulating.userland import UID, USER, userland
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Board, Login

PROFILES = {"x86_64": "emulated-x86-64", "aarch64": "qemu-aarch64", "armv7l": "qemu-armv7"}

_SSH_PORT = 22
_START_DEADLINE_S = 60.0
# How a process ends whose pid namespace was told to restart: reboot(2).
_RESTARTED = -signal.SIGHUP


class EmulatedBoard:
    """A board that can be started, stopped and broken.

    Attributes:
        name: of the board, and of its host.
        architecture: of its programs, as `uname -m` says there.
        address: that this machine and other boards of the lab reach it at.
        pid: of its first process, as this machine knows it; 0 while it is off.
    """

    def __init__(
        self, lab: Lab, index: int, name: str, architecture: str, conditions: Conditions
    ) -> None:
        self.name = name
        self.architecture = architecture
        self.address = lab.address(index)
        self.pid = 0
        self._lab = lab
        self._conditions = conditions
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.RLock()
        self._base = userland(architecture)
        self.folder = lab.folder / name
        self._groups = make_groups(f"{link_name(lab.number)}-{name}", conditions.memory_bytes)
        for part in ("disk", "root", "machine", "seed"):
            (self.folder / part).mkdir(parents=True)
        profile = load_profile(PROFILES[architecture])
        write_machine(profile, conditions.memory_bytes, self.folder / "machine")
        self._write_seed()

    @property
    def board(self) -> Board:
        """As an inventory has it."""
        login = Login(Hop(self.address, user=USER), key_file=user_key())
        return Board(self.name, PROFILES[self.architecture], login=login)

    @property
    def root(self) -> Path:
        """Its root folder, as this machine reaches it while the board is on."""
        return Path("/proc", str(self.pid), "root")

    def start(self) -> None:
        """Switch it on, and wait until its SSH server answers.

        Raises:
            BoardError: it does not come up.
        """
        with self._turn:
            if not self.pid:
                self._boot()
        self._wait_for_ssh()

    def stop(self) -> None:
        """Take its power: every process ends at once. What is on its disk stays."""
        with self._turn:
            process, self._process = self._process, None
            if process is not None:
                self._kill(process)
            self.pid = 0

    def reboot(self) -> None:
        """Take its power and give it back: its boot id is another one."""
        self.stop()
        self.start()

    def inside(self, *words: str) -> list[str]:
        """The command that runs a program of the board's own there, as its root."""
        return [
            *(program("nsenter"), "-t", str(self.pid), "-a", "-r", "-w", "--"),
            *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", *words),
        ]

    def run(self, *words: str) -> str:
        """What a program of the board's own says, run there as root, past all SSH.

        Raises:
            BoardError: it fails.
        """
        return ran(*self.inside(*words), where=f"emulated board {self.name}")

    def _boot(self) -> None:
        self._process = subprocess.Popen(
            self._lab.inside("sh", str(script("board.sh"))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environment()},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            words = self._kill(self._process)
            self._process = None
            raise BoardError(f"it does not start: {words}", where=f"emulated board {self.name}")
        self.pid = int(line)
        threading.Thread(
            target=self._watch, args=(self._process,), daemon=True, name=self.name
        ).start()

    def _environment(self) -> dict[str, str]:
        wanted, octets = self._conditions, self.address.split(".")
        return {
            "name": self.name,
            "address": self.address,
            "hardware_address": f"02:{':'.join(f'{int(one):02x}' for one in octets)}:00",
            "gateway": self._lab.gateway,
            "base": str(self._base),
            "folder": str(self.folder),
            "of_machine": str(self.folder / "machine"),
            "groups": " ".join(map(str, self._groups)),
            "disk": str(wanted.disk_bytes),
            "tmp": str(wanted.tmp_bytes),
            "tmp_options": ",noexec" if wanted.noexec_tmp else "",
            "read_only": "yes" if wanted.read_only else "no",
        }

    def _kill(self, process: subprocess.Popen[str]) -> str:
        """End a start of the board; gives what it complained of."""
        with contextlib.suppress(ProcessLookupError):
            # The end of its first process ends all others before it is told here.
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        return process.stderr.read().strip()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Start it again where it restarts itself; where it ends itself it is off."""
        code = process.wait()
        with self._turn:
            if self._process is not process:
                return
            self._process, self.pid = None, 0
            if code == _RESTARTED:
                self._boot()

    def _wait_for_ssh(self) -> None:
        until_s = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < until_s:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((self.address, _SSH_PORT), timeout=5) as stream,
            ):
                if stream.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)
        raise BoardError(
            f"its SSH server does not answer within {_START_DEADLINE_S:g} s",
            where=f"emulated board {self.name}",
        )

    def _write_seed(self) -> None:
        """What lies on its disk when it is first switched on."""
        host_key = kept_key(f"host {self.address}")
        for suffix, mode in (("", 0o600), (".pub", 0o644)):
            text = Path(f"{host_key}{suffix}").read_text()
            self._seed(f"etc/ssh/ssh_host_ed25519_key{suffix}", text, mode)
        public = Path(f"{user_key()}.pub").read_text()
        self._seed("root/.ssh/authorized_keys", public, 0o600)
        self._seed(f"home/{USER}/.ssh/authorized_keys", public, 0o600)
        home = self.folder / "seed/home" / USER
        for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
            os.chown(path, UID, UID)
        self._seed("etc/hostname", f"{self.name}\n")
        self._seed("etc/hosts", f"127.0.0.1 localhost {self.name}\n")
        if not self._conditions.sudo:
            self._seed("etc/sudoers", "root ALL=(ALL:ALL) ALL\n", 0o440)

    def _seed(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.folder / "seed"
        for part in Path(name).parent.parts:
            path /= part
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        (path / Path(name).name).write_text(text)
        (path / Path(name).name).chmod(mode)
