"""Where emulated boards are: namespaces with a bridge, and a link from there to this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating.commands import ran, started
from edgetvm.farm.emulating.keys import lent_key
from edgetvm.farm.emulating.leftovers import (
    RUN_FOLDER,
    link_name,
    remove,
    remove_leftovers,
    take_number,
)
from edgetvm.farm.emulating.needs import program

# For benchmarks of devices on a network (RFC 2544): nobody's own network has these addresses.
_NETWORK = "198.18"


class Lab:
    """Namespaces of boards. They are gone when this process is, however it ends.

    Attributes:
        number: no other lab of this machine has it.
        folder: of its boards.
        key_file: the private key that logs in to its boards.
        pid: of its first process.
    """

    def __init__(self) -> None:
        """Raises: BoardError, StorageError: it cannot be made."""
        remove_leftovers()
        self.number, self._lock = take_number()
        self.folder = RUN_FOLDER / str(self.number)
        try:
            remove(self.number)
            self.folder.mkdir(mode=0o711)
            self.key_file = lent_key(self.folder)
            self._process, self.pid = self._start()
        except BaseException:
            self._let_go()
            raise
        try:
            self._link()
        except BaseException:
            self.close()
            raise

    def _start(self) -> tuple[subprocess.Popen[str], int]:
        return started(
            [
                *(program("unshare"), "--pid", "--mount", "--net", "--ipc", "--uts"),
                *("--fork", "--kill-child", "--", "sh", str(script("lab.sh"))),
            ],
            where="the network of emulated boards",
            mend="in a container, run it with --privileged",
            stdin=subprocess.PIPE,
        )

    def _link(self) -> None:
        link = link_name(self.number)
        ran("ip", "link", "add", link, "type", "veth", "peer", "host", "netns", str(self.pid))
        ran(*self.inside("ip", "link", "set", "host", "master", "boards", "up"))
        ran("ip", "address", "add", f"{self.gateway}/24", "dev", link)
        ran("ip", "link", "set", link, "up")

    @property
    def gateway(self) -> str:
        """This machine's address, as the boards see it."""
        return f"{_NETWORK}.{self.number}.1"

    def address(self, index: int) -> str:
        """Of a board, the first being 0."""
        return f"{_NETWORK}.{self.number}.{10 + index}"

    def inside(self, *words: str) -> list[str]:
        """The command that runs a program of this machine in the lab."""
        return [program("nsenter"), "-t", str(self.pid), "-p", "-m", "-n", "--", *words]

    @contextmanager
    def cable(self, port: str, loss: float, delay_ms: float, bytes_per_s: float) -> Iterator[None]:
        """Have a bad cable between a board's port and the bridge.

        Args:
            loss: share of the frames that never arrive, 0 to 1, in each direction.
            delay_ms: of the others.
            bytes_per_s: that it carries at most in each direction; 0 for no limit.

        Raises:
            BoardError: the kernel has no TAP devices.
        """
        tap = f"bad-{port}"
        command = [sys.executable, "-I", str(script("cable.py")), port, tap]
        ran(*self.inside("ip", "link", "set", port, "nomaster"))
        try:
            process, _ = started(
                self.inside(*command, str(loss), str(delay_ms), str(bytes_per_s)),
                where="a bad network cable",
                stdin=subprocess.PIPE,
            )
            with process:
                ran(*self.inside("ip", "link", "set", tap, "master", "boards", "up"))
                yield
        finally:
            with contextlib.suppress(BoardError):  # the board may be off by now
                ran(*self.inside("ip", "link", "set", port, "master", "boards"))

    def close(self) -> None:
        """End it, and all boards in it."""
        self._process.kill()
        self._process.communicate()
        self._let_go()

    def _let_go(self) -> None:
        remove(self.number)
        os.close(self._lock)


def script(name: str) -> Path:
    """A shell script of this folder."""
    return Path(str(resources.files("edgetvm.farm.emulating").joinpath(name)))
