"""Boards under one tracker on loopback, whose servers are killed and started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import yaml
from real_board import within

from edgetvm.base.errors import TrackerUnreachableError
from edgetvm.boards import load_profile
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.tracker_client import Address, registered_keys

# A profile for them that is this machine's, under a name of its own.
PROFILE = "desk"


def write_profile(folder: Path) -> None:
    """`desk.yaml`, for `$EDGETVM_DEVICES`."""
    told = asdict(load_profile("local")) | {"name": PROFILE, "source": "this machine"}
    plain = {key: list(one) if isinstance(one, tuple) else one for key, one in told.items()}
    (folder / f"{PROFILE}.yaml").write_text(yaml.safe_dump(plain))


class Farm:
    """A tracker and a server for each name; each server is told its name in `MADE_BOARD`."""

    def __init__(self, *names: str) -> None:
        self._ports = dict.fromkeys(("tracker", *names), 0)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def tracker(self) -> Address:
        """Of all of them."""
        return Address(LOOPBACK, self._ports["tracker"])

    def write_inventory(self, path: Path) -> None:
        """For `$EDGETVM_INVENTORY`."""
        entries = {
            name: {"profile": PROFILE, "tracker": str(self.tracker), "key": f"key-of-{name}"}
            for name in self._ports
            if name != "tracker"
        }
        path.write_text(yaml.safe_dump({"boards": entries}))

    def start(self, name: str) -> None:
        """Start a server where it was before."""
        words = ["-m", "edgetvm.farm.tracker"]
        if name != "tracker":
            words = ["-m", "edgetvm.farm.server", "--tracker", str(self.tracker)]
            words += ["--key", f"key-of-{name}"]
        assert within(2, lambda: self._is_free(name)), "a session outlives its server"
        with listening_socket(self._ports[name]) as listener:
            self._ports[name] = listener.getsockname()[1]
            self._processes[name] = subprocess.Popen(
                [sys.executable, *words, "--fd", str(listener.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()], start_new_session=True,
                env={**os.environ, "MADE_BOARD": name},
            )  # fmt: skip

    def _is_free(self, name: str) -> bool:
        try:
            listening_socket(self._ports[name]).close()
        except OSError:
            return False
        return True

    def kill(self, name: str) -> None:
        """`kill -9` of the server's process, and of that alone."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()

    def mend(self) -> None:
        """Have all servers up."""
        for name in self._ports:
            if name not in self._processes:
                self.start(name)
        assert within(60, self._all_registered)

    def _all_registered(self) -> bool:
        try:
            known = registered_keys(self.tracker, 2.0)
        except TrackerUnreachableError:
            return False
        return {f"key-of-{name}" for name in self._ports if name != "tracker"} <= set(known)

    def __enter__(self) -> Farm:
        try:
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name, process in list(self._processes.items()):
            os.killpg(process.pid, signal.SIGKILL)
            self.kill(name)
