"""Standard streams that are closed, or cannot be written any more."""

from __future__ import annotations

import os
import sys


def open_closed() -> None:
    """Open those that the caller closed: the next file would get their number, and their words."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def give_up_stdout() -> None:
    """What is still to be written there goes nowhere: it would fail again as the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
