"""The local board: a real tracker and a real RPC server on loopback, each a process of its own."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time

from edgetvm.base.errors import BoardError, TrackerUnreachableError
from edgetvm.base.pins import check_pins
from edgetvm.base.steps import step
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.processes import end_process, start_process
from edgetvm.farm.tracker_client import Address, registered_keys

_START_DEADLINE_S = 60.0


class LocalBoard:
    """Starts on `start` or `with`, and ends with its owner, even if that is killed.

    Attributes:
        tracker: address of the tracker.
        key: that the server registers under; random, so that no other local board is mistaken.
        processes: tracker and server.
    """

    def __init__(self) -> None:
        self.key = f"local-{secrets.token_hex(8)}"
        self.tracker = Address(LOOPBACK, 0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def board(self) -> Board:
        """The inventory's view of it."""
        return Board(LOCAL.name, LOCAL.profile, self.tracker, self.key)

    def start(self) -> None:
        """Start both processes and wait until the server has registered.

        Raises:
            MissingToolError: TVM and its ffi package do not belong together.
            BoardError: they did not come up in time.
        """
        check_pins()
        with step("start the local board") as this:
            # Bound here and handed down: the port is known at once, and cannot be taken meanwhile.
            with listening_socket() as listener:
                self.tracker = Address(LOOPBACK, listener.getsockname()[1])
                self.processes["tracker"] = start_process("tracker", listener)
            with listening_socket() as listener:
                self.processes["server"] = start_process(
                    "server", listener, "--tracker", str(self.tracker), "--key", self.key
                )
            try:
                self._wait_until_registered()
            except BaseException:
                self.stop()
                raise
            this.detail = f"tracker {self.tracker}"

    def _wait_until_registered(self) -> None:
        until_s = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < until_s:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise BoardError(
                        f"the local board's {name} ended with exit code {process.returncode}",
                        mend="run again with EDGETVM_NATIVE_LOG=1 to see its words",
                    )
            with contextlib.suppress(TrackerUnreachableError):
                if self.key in registered_keys(self.tracker, 2.0):
                    return
            time.sleep(0.05)
        raise BoardError(
            f"the local board did not come up within {_START_DEADLINE_S:g} s",
            mend="run again with EDGETVM_NATIVE_LOG=1 to see its words",
        )

    def stop(self) -> None:
        """End both processes and whatever they started."""
        for process in self.processes.values():
            end_process(process)
        self.processes.clear()

    def __enter__(self) -> LocalBoard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
