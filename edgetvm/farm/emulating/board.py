"""One emulated board: namespaces of its own, with a root file system and a real OpenSSH server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edgetvm.base.errors import BoardError
from edgetvm.boards.profile import load_profile
from edgetvm.farm.emulating.commands import ran, started
from edgetvm.farm.emulating.conditions import Conditions
from edgetvm.farm.emulating.groups import make_groups
from edgetvm.farm.emulating.lab import Lab, script
from edgetvm.farm.emulating.leftovers import link_name
from edgetvm.farm.emulating.machine import write_machine
from edgetvm.farm.emulating.needs import program
from edgetvm.farm.emulating.outlet import Outlet
from edgetvm.farm.emulating.seed import write_seed
from edgetvm.farm.emulating.userland import USER, musl_userland, userland
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Board, Login
from edgetvm.farm.power import Power
from edgetvm.farm.power.command import PowerCommand

PROFILES = {"x86_64": "emulated-x86-64", "aarch64": "qemu-aarch64", "armv7l": "qemu-armv7"}
TAG = "emulated"

_SSH_PORT = 22
_START_DEADLINE_S = 60.0
# A board's root may not set this machine's clock, load its modules or open its disks.
_FORBIDDEN = "-sys_time,-sys_module,-sys_rawio,-syslog,-mknod"
# How a process ends whose pid namespace was told to restart: reboot(2).
_RESTARTED = -signal.SIGHUP


class EmulatedBoard:
    """A board that can be started, stopped and broken.

    Attributes:
        name: of the board, and of its host.
        architecture: of its programs, as `uname -m` says there.
        address: that this machine and other boards of the lab reach it at.
        login: how SSH reaches it.
        pid: of its first process, as this machine knows it; 0 while it is off.
    """

    def __init__(
        self, lab: Lab, index: int, name: str, architecture: str, conditions: Conditions
    ) -> None:
        self.name = name
        self.architecture = architecture
        self.address = lab.address(index)
        self.login = Login(
            Hop(self.address, user="root" if conditions.musl else USER), key_file=lab.key_file
        )
        self.pid = 0
        self._lab = lab
        self._port = f"board{index}"
        self._conditions = conditions
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.RLock()
        self._is_plugged = True
        bases = [musl_userland(architecture)] if conditions.musl else []
        self._bases = ":".join(map(str, [*bases, userland(architecture)]))
        self.folder = lab.folder / name
        self._groups = make_groups(f"{link_name(lab.number)}-{name}", conditions.memory_bytes)
        for part in ("disk", "root"):
            (self.folder / part).mkdir(parents=True)
        profile = load_profile(PROFILES[architecture])
        write_machine(profile, conditions.memory_bytes, self.folder / "machine")
        write_seed(name, self.address, conditions, self.folder / "seed")
        self._outlet = Outlet(self.folder, {"on": self._power_on, "off": self.stop})

    @property
    def power(self) -> PowerCommand:
        """The commands that switch its power."""
        return self._outlet.commands

    @property
    def board(self) -> Board:
        """As an inventory has it."""
        return Board(
            self.name,
            PROFILES[self.architecture],
            login=self.login,
            tags=(TAG,),
            power=Power(command=self.power),
        )

    @property
    def as_root(self) -> Board:
        """The same, with its root logging in."""
        login = replace(self.login, hop=replace(self.login.hop, user="root"))
        return replace(self.board, login=login)

    @property
    def root(self) -> Path:
        """Its root folder, as this machine reaches it while the board is on."""
        return Path("/proc", str(self.pid), "root")

    def start(self) -> None:
        """Switch it on, and wait until its SSH server answers.

        Raises:
            BoardError: it does not come up.
        """
        self._power_on()
        self.wait_for_ssh()

    def _power_on(self) -> None:
        with self._turn:
            if not self.pid:
                self._boot()

    def stop(self) -> None:
        """Take its power: every process ends at once. What is on its disk stays."""
        with self._turn:
            process, pid = self._process, self.pid
            self._process, self.pid = None, 0
            if process is not None:
                # The end of its first process ends all others before it is told here.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                process.communicate()
                # The kernel takes a moment to clear its network away, and would answer meanwhile.
                with contextlib.suppress(BoardError):
                    ran(*self._lab.inside("ip", "link", "delete", self._port))
            self._outlet.tell(False)

    def close(self) -> None:
        """Switch it off for good."""
        self.stop()
        self._outlet.close()

    def reboot(self) -> None:
        """Take its power and give it back: its boot id is another one."""
        self.stop()
        self.start()

    def inside(self, *words: str) -> list[str]:
        """The command that runs a program of the board's own there, as its root."""
        return [
            *(program("setpriv"), f"--bounding-set={_FORBIDDEN}"),
            *(program("nsenter"), "-t", str(self.pid), "-a", "-r", "-w", "--"),
            *("/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", *words),
        ]

    def run(self, *words: str) -> str:
        """What a program of the board's own says, run there as root, past all SSH.

        Raises:
            BoardError: it fails.
        """
        return ran(*self.inside(*words), where=f"emulated board {self.name}")

    def set_link(self, state: Literal["up", "down"]) -> None:
        """Plug its network cable in, or pull it, until it is set otherwise."""
        with self._turn:
            self._is_plugged = state == "up"
            if self.pid:
                ran(*self._lab.inside("ip", "link", "set", self._port, state))

    @contextmanager
    def impaired(self, loss: float, delay_ms: float, bytes_per_s: float) -> Iterator[None]:
        """Have a bad cable between the board and all others."""
        with self._lab.cable(self._port, loss, delay_ms, bytes_per_s):
            yield

    def resize_disk(self, free_bytes: int | None) -> None:
        """Leave so much room on its disk; None for as much as it had at first."""
        disk = self.folder / "disk"
        size_bytes = self._conditions.disk_bytes
        if free_bytes is not None:
            room = os.statvfs(f"/proc/{self._lab.pid}/root{disk}")
            size_bytes = (room.f_blocks - room.f_bfree) * room.f_frsize + free_bytes
        ran(*self._lab.inside("mount", "-o", f"remount,size={size_bytes}", str(disk)))

    def _boot(self) -> None:
        self._process, self.pid = started(
            self._lab.inside("sh", str(script("board.sh"))),
            where=f"emulated board {self.name}",
            environment=self._environment(),
        )
        if not self._is_plugged:
            self.set_link("down")
        self._outlet.tell(True)
        threading.Thread(
            target=self._watch, args=(self._process,), daemon=True, name=self.name
        ).start()

    def _environment(self) -> dict[str, str]:
        wanted, octets = self._conditions, self.address.split(".")
        return {
            "name": self.name,
            "port": self._port,
            "address": self.address,
            "hardware_address": f"02:{':'.join(f'{int(one):02x}' for one in octets)}:00",
            "gateway": self._lab.gateway,
            "forbidden": _FORBIDDEN,
            "bases": self._bases,
            "folder": str(self.folder),
            "of_machine": str(self.folder / "machine"),
            "groups": " ".join(map(str, self._groups)),
            "disk": str(wanted.disk_bytes),
            "tmp": str(wanted.tmp_bytes),
            "tmp_options": ",noexec" if wanted.noexec_tmp else "",
            "read_only": "yes" if wanted.read_only else "no",
        }

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Start it again where it restarts itself; where it ends itself it is off."""
        code = process.wait()
        with self._turn:
            if self._process is not process:
                return
            self._process, self.pid = None, 0
            process.communicate()
            self._outlet.tell(False)
            if code == _RESTARTED:
                self._boot()

    def wait_for_ssh(self) -> None:
        """Wait until its SSH server answers.

        Raises:
            BoardError: it does not.
        """
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
