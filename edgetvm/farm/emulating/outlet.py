"""The outlet of an emulated board: other processes switch its power by a word in a pipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread

from edgetvm.base.errors import EdgetvmError
from edgetvm.farm.emulating.caller import hand_over
from edgetvm.farm.power.command import PowerCommand

_END = "end"


class Outlet:
    """A pipe in a board's folder, and a thread that does what is written there.

    Attributes:
        commands: that switch it.
    """

    def __init__(self, folder: Path, switches: Mapping[str, Callable[[], object]]) -> None:
        """`switches` are what to do at `on` and at `off`."""
        self._pipe = folder / "power"
        self._tells = folder / "on"
        self._switches = switches
        os.mkfifo(self._pipe, 0o600)
        # Open for both: it never ends, so no writer waits for a reader or loses its word.
        self._words = os.fdopen(os.open(self._pipe, os.O_RDWR))
        hand_over(self._pipe)
        on, off = (f'sh -c "echo {word} >{self._pipe}"' for word in ("on", "off"))
        self.commands = PowerCommand(on, off, f"test -e {self._tells}")
        Thread(target=self._obey, daemon=True, name=str(folder)).start()

    def tell(self, is_on: bool) -> None:
        """Let others see whether the board is on."""
        if is_on:
            self._tells.touch()
        else:
            self._tells.unlink(missing_ok=True)

    def close(self) -> None:
        """End the thread."""
        os.write(self._words.fileno(), f"{_END}\n".encode())

    def _obey(self) -> None:
        with self._words:
            for word in map(str.strip, self._words):
                if word == _END:
                    return
                if word in self._switches:
                    with contextlib.suppress(EdgetvmError):  # the board stays off, as all see
                        self._switches[word]()
