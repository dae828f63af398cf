"""A farm process ends when the process that started it does, however that ended."""

from __future__ import annotations

import os
import signal
import threading


def die_with_parent() -> None:
    """End this process and its whole group as soon as stdin closes.

    The parent holds the other end of the pipe and never writes to it: the kernel closes it even
    when the parent is killed. This process must lead a group of its own.
    """

    def wait() -> None:
        # Not through sys.stdin: its lock, held here for ever, would be copied by every fork.
        while os.read(0, 4096):
            pass
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
