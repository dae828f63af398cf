"""Where a tracker or server listens: always on loopback, never on a network.

Nothing here asks who is calling. A board elsewhere is reached through SSH, which does.
"""

from __future__ import annotations

import argparse
import socket
import sys

from edgetvm.base.errors import UsageError
from edgetvm.farm.parent import die_with_parent
from edgetvm.farm.tracker_client import Address

LOOPBACK = "127.0.0.1"


def listening_socket(port: int = 0) -> socket.socket:
    """A listening socket on loopback; the system chooses a port where it is 0.

    Raises:
        OSError: another process has the port.
    """
    listener = socket.socket()
    try:
        # A server that was ended a moment ago must not hold up its successor.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener


def parser_for(module: str, purpose: str) -> argparse.ArgumentParser:
    """A parser with the two ways to listen: `--port` for users, `--fd` for `LocalBoard`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=purpose)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--port", type=_port, help=f"port to listen on, at {LOOPBACK} only")
    way.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    return parser


def listener_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> socket.socket:
    """The socket that was asked for. One that was handed down ends with the process behind it."""
    if arguments.fd is not None:
        die_with_parent()
        return socket.socket(fileno=arguments.fd)
    try:
        listener = listening_socket(arguments.port)
    except OSError as error:
        parser.error(f"port {arguments.port}: {(error.strerror or str(error)).lower()}")
    sys.stderr.write(f"listening on {LOOPBACK}:{listener.getsockname()[1]}; Ctrl-C ends it\n")
    return listener


def address(text: str) -> Address:
    """`HOST:PORT`, as argparse converts it."""
    try:
        return Address.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to 65535)")
    return int(text)
