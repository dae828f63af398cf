"""A TVM RPC tracker: `python -m edgetvm.farm.tracker --port 9190`."""

from __future__ import annotations

import contextlib
import logging

from edgetvm.farm.listening import listener_of, parser_for


def main() -> None:
    """Serve until Ctrl-C, or on an inherited socket until the parent ends."""
    parser = parser_for("edgetvm.farm.tracker", "Bring clients and boards together.")
    listener = listener_of(parser, parser.parse_args())
    from tvm.rpc.tracker import TrackerServerHandler

    logging.getLogger("RPCTracker").setLevel(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        TrackerServerHandler(listener, stop_key=None).run()


if __name__ == "__main__":
    main()
