"""A board's TVM RPC server.

    python -m edgetvm.farm.server --port 9090 --tracker 127.0.0.1:9190 --key my-board

The stock server, supervised: TVM 0.27's own loses its listening thread for good when a session's
process dies or the tracker is away for a minute, while the process looks alive.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import socket
import time
from pathlib import Path
from typing import Any

from edgetvm.base.workers import end_with_owner
from edgetvm.farm import board_service
from edgetvm.farm.listening import address, listener_of, parser_for
from edgetvm.farm.tracker_client import Address
from edgetvm.package.crossbuild import BuiltRuntime

_EXIT_CODE = re.compile(r"error code (-?\d+)")


def serve(listener: socket.socket, tracker: Address, key: str) -> None:
    """Serve one session after the other, for ever. Each runs in a process of its own, which ends
    with this one."""
    from tvm.rpc import server

    server.logger.setLevel(logging.ERROR)
    serve_one, answer_calls = server._serving, server._serve_loop

    def answering(*arguments: Any) -> None:
        # In the session's process: it holds the port, and its code may hang.
        end_with_owner()
        answer_calls(*arguments)

    def serving(*arguments: Any) -> None:
        serve_one(*arguments)
        # It ended well: what became of a session before it is of no concern to the next.
        board_service.last_exit_code = None

    server._serving, server._serve_loop = serving, answering
    board_service.register()
    host, port = listener.getsockname()
    while True:
        try:
            server._listen_loop(listener, port, key, (tracker.host, tracker.port), None, host)
        except Exception as error:
            # The session's process died, the tracker was away too long, or a stranger spoke to the
            # port in a way that TVM's loop does not survive: go on all the same.
            found = _EXIT_CODE.search(str(error))
            board_service.last_exit_code = int(found.group(1)) if found else None
        # By now the error is gone and its frames with it, which held the tracker's connection.
        os.chdir("/")
        time.sleep(0.2)


def main() -> None:
    """Serve until Ctrl-C, or on an inherited socket until the parent ends."""
    parser = parser_for("edgetvm.farm.server", "Serve this board to the clients of a tracker.")
    parser.add_argument(
        "--tracker", type=address, required=True, metavar="HOST:PORT", help="where to register"
    )
    parser.add_argument("--key", required=True, help="to register under, as the inventory says")
    parser.add_argument(
        "--runtime", type=Path, metavar="FOLDER", help="edgetvm's C runtime, to run packages in"
    )
    arguments = parser.parse_args()
    if arguments.runtime is not None:
        board_service.runtime = BuiltRuntime(arguments.runtime, platform.machine(), "glibc")
    with contextlib.suppress(KeyboardInterrupt):
        serve(listener_of(parser, arguments), arguments.tracker, arguments.key)


if __name__ == "__main__":
    main()
