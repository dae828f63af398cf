"""A command as the administrator of a board: whoever logs in is one, or sudo makes him one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def as_root(words: Sequence[str]) -> str:
    """The command for a POSIX shell there; it takes the shell's place, and asks for no password."""
    command = shlex.join(words)
    return f'[ "$(id -u)" = 0 ] && exec {command}; exec sudo -n {command}'
