"""The same way to a board for OpenSSH's own client, which a user talks to."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence

from edgetvm.base.errors import MissingToolError
from edgetvm.farm.inventory import Board, with_login
from edgetvm.farm.ssh.known_hosts import known_hosts_path
from edgetvm.farm.ssh.route import Stop, route_to


def ssh_command(board: Board, words: Sequence[str] = ()) -> list[str]:
    """The command that logs in to a board, or runs `words` there.

    Raises:
        MissingToolError: there is no OpenSSH client.
        ConfigurationError: the inventory does not say how to reach the board.
    """
    program = shutil.which("ssh")
    if program is None:
        raise MissingToolError("there is no ssh", mend="install OpenSSH's client")
    *jump, last = route_to(with_login(board))
    way: list[str] = []
    for stop in jump:
        way = _options(program, stop, way) + ["-W", "%h:%p", "--", stop.host]
    return _options(program, last, way) + ["--", last.host, *words]


def _options(program: str, stop: Stop, way: list[str]) -> list[str]:
    command = [program, "-p", str(stop.port), "-l", stop.user]
    command += ["-o", f'UserKnownHostsFile="{known_hosts_path()}"']
    if stop.named:
        command += [word for path in stop.key_files for word in ("-i", str(path))]
    if way:
        # ssh itself puts in the stop's host and port; a per cent sign before it must be doubled.
        text = shlex.join(way).replace("%", "%%").replace("%%h:%%p", "%h:%p")
        command += ["-o", f"ProxyCommand={text}"]
    return command
