"""A board's TVM RPC server: `python -m edgetvm.farm.server SOCKET_FD TRACKER KEY`.

The stock server, supervised: TVM 0.27's own loses its listening thread for good when a session's
process dies or the tracker is away for a minute, while the process looks alive.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import time

from edgetvm.farm import board_service
from edgetvm.farm.parent import die_with_parent
from edgetvm.farm.tracker_client import Address

_EXIT_CODE = re.compile(r"error code (-?\d+)")


def serve(listener: socket.socket, tracker: Address, key: str) -> None:
    """Serve one session after the other, for ever. Each runs in a process of its own."""
    from tvm.rpc import server

    server.logger.setLevel(logging.ERROR)
    board_service.register()
    host, port = listener.getsockname()
    while True:
        try:
            server._listen_loop(listener, port, key, (tracker.host, tracker.port), None, host)
        except RuntimeError as error:
            # The session's process died, or the tracker was away too long: go on all the same.
            found = _EXIT_CODE.search(str(error))
            board_service.last_exit_code = int(found.group(1)) if found else None
            os.chdir("/")
            time.sleep(0.2)


def main() -> None:
    """Serve on the listening socket that was inherited, until the parent ends."""
    die_with_parent()
    serve(socket.socket(fileno=int(sys.argv[1])), Address.parse(sys.argv[2]), sys.argv[3])


if __name__ == "__main__":
    main()
