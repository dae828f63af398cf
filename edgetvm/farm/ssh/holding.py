"""A command on a board that runs until it is told to end."""

from __future__ import annotations

import contextlib
import shlex
from typing import Any

_PART_BYTES = 1 << 15


class Held:
    """A command that runs; made by `Connection.held`.

    Attributes:
        first_line: that it said; empty where it ended without a word.
    """

    def __init__(self, channel: Any, command: str) -> None:
        """Begin the command in a POSIX shell, and wait for its first line."""
        self._channel = channel
        self._unread = b""
        channel.exec_command(f"exec /bin/sh -c {shlex.quote(command)}")
        self.first_line = self._line()

    def _line(self) -> str:
        while b"\n" not in self._unread and (part := self._channel.recv(_PART_BYTES)):
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace").strip()

    def say(self, line: str) -> None:
        """Send it a line; one that is gone hears nothing."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.sendall(f"{line}\n".encode())

    def ask(self, line: str, deadline_s: float) -> str:
        """Send it a line, and give the next line that it says; empty where it has ended.

        Raises:
            TimeoutError: it says none before the deadline; it is asked no more.
        """
        self.say(line)
        self._channel.settimeout(deadline_s)
        try:
            return self._line()
        except TimeoutError:
            # What it says later would be taken for the answer to the next line.
            self._channel.close()
            raise
        finally:
            self._channel.settimeout(None)

    def finish(self) -> tuple[int, str]:
        """Close its standard input and wait for its end.

        Returns:
            its exit code, -1 where it is not known, and what it said on stderr.
        """
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()
        said = b""
        while part := self._channel.recv_stderr(_PART_BYTES):
            said += part
        return int(self._channel.recv_exit_status()), said.decode(errors="replace")
