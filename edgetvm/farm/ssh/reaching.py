"""A TCP connection to an SSH server, and in one sentence why there is none."""

from __future__ import annotations

import errno
import socket
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Thread
from typing import Any

from edgetvm.base.errors import BoardUnreachableError
from edgetvm.farm.ssh.deadlines import Deadlines
from edgetvm.farm.ssh.route import Stop

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
# So many probes of an idle connection are lost before it is given up.
_PROBES = 4

Found = tuple[int, Any]


def reach(stop: Stop, deadlines: Deadlines, where: str) -> socket.socket:
    """Open a connection; it breaks by itself when the other side's kernel is silent for long.

    Raises:
        BoardUnreachableError: says which of the ways to fail it was.
    """
    until_s = time.monotonic() + deadlines.connect_s
    last: OSError = TimeoutError()
    for family, address in _addresses(stop, deadlines, where):
        remaining_s = until_s - time.monotonic()
        if remaining_s <= 0:
            break
        try:
            return _connected(family, address, remaining_s, deadlines)
        except OSError as error:
            last = error
    raise _unreachable(last, stop, deadlines, where) from last


def _addresses(stop: Stop, deadlines: Deadlines, where: str) -> list[Found]:
    """The addresses of a name. The system's resolver knows no deadline: a thread waits for it."""
    future: Future[list[Found]] = Future()

    def find() -> None:
        try:
            found = socket.getaddrinfo(stop.host, stop.port, type=socket.SOCK_STREAM)
            future.set_result([(family, address) for family, _, _, _, address in found])
        except OSError as error:
            future.set_exception(error)

    Thread(target=find, name=f"find {stop.host}", daemon=True).start()
    try:
        return future.result(deadlines.name_s)
    except FutureTimeoutError as error:
        raise BoardUnreachableError(
            f"nobody told the address of {stop.host} within {deadlines.name_s:g} s",
            where=where,
            mend="check this machine's DNS, or write the address into the inventory",
        ) from error
    except OSError as error:
        raise BoardUnreachableError(
            f"the name {stop.host} is not known",
            where=where,
            mend="check `host` in the inventory, or write the address there",
        ) from error


def _connected(family: int, address: Any, deadline_s: float, deadlines: Deadlines) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(deadline_s)
        connection.connect(address)
        probe_s = max(1, round(deadlines.silence_s / _PROBES))
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, probe_s),
            (socket.TCP_KEEPINTVL, probe_s),
            (socket.TCP_USER_TIMEOUT, round(deadlines.silence_s * 1000)),
        ):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        connection.close()
        raise
    return connection


def _unreachable(
    error: OSError, stop: Stop, deadlines: Deadlines, where: str
) -> BoardUnreachableError:
    if isinstance(error, TimeoutError):
        what = f"nothing answered at {stop} within {deadlines.connect_s:g} s"
        mend = "is it switched on, and in this network?"
    elif isinstance(error, ConnectionRefusedError):
        what = f"it is there, and no SSH server listens at port {stop.port}"
        mend = "start sshd there, or correct `port` in the inventory"
    elif error.errno in _NO_ROUTE:
        what = f"there is no route to {stop.host}"
        mend = "is it switched on, and in this network? a host in between is named by `jump`"
    else:
        what = f"no connection to {stop}: {(error.strerror or str(error)).lower()}"
        mend = "check the network"
    return BoardUnreachableError(what, where=where, mend=mend)
