"""Where emulated boards are: namespaces with a bridge, and a link from there to this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
from importlib import resources
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating.commands import ran
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
        pid: of its first process.
    """

    def __init__(self) -> None:
        """Raises: BoardError, StorageError: it cannot be made."""
        remove_leftovers()
        self.number, self._lock = take_number()
        remove(self.number)
        self.folder = RUN_FOLDER / str(self.number)
        self.folder.mkdir(mode=0o711)
        self._process = subprocess.Popen(
            [
                *(program("unshare"), "--pid", "--mount", "--net", "--ipc", "--uts"),
                *("--fork", "--kill-child", "--", "sh", str(script("lab.sh"))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.pid = self._first_pid()
            self._link()
        except BaseException:
            self.close()
            raise

    def _first_pid(self) -> int:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            raise BoardError(
                f"this machine makes no namespaces: {self._process.stderr.read().strip()}",
                mend="in a container, run it with --privileged",
            )
        return int(line)

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

    def close(self) -> None:
        """End it, and all boards in it."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.kill()
        self._process.wait()
        remove(self.number)
        os.close(self._lock)


def script(name: str) -> Path:
    """A shell script of this folder."""
    return Path(str(resources.files("edgetvm.farm.emulating").joinpath(name)))
