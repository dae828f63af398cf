"""A TVM RPC tracker in a process of its own: `python -m edgetvm.farm.tracker SOCKET_FD`."""

from __future__ import annotations

import logging
import socket
import sys

from edgetvm.farm.parent import die_with_parent


def main() -> None:
    """Serve on the listening socket that was inherited, until the parent ends."""
    die_with_parent()
    from tvm.rpc.tracker import TrackerServerHandler

    logging.getLogger("RPCTracker").setLevel(logging.ERROR)
    listener = socket.socket(fileno=int(sys.argv[1]))
    TrackerServerHandler(listener, stop_key=None).run()


if __name__ == "__main__":
    main()
