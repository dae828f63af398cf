"""What a client sends to a board, recorded on its way.

Run as a program it is the way: TVM's client holds Python's lock while it waits.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from program_board import ProgramBoard


def recorded(board: ProgramBoard, talk: Callable[[Any], object], record: Path) -> None:
    """Keep all packets that `talk(remote)` makes the client send.

    Handles are numbers that a session counts up: they are the same when it is said again.
    """
    from tvm import rpc

    command = [sys.executable, __file__, str(board.port), str(record)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as way:
        assert way.stdout is not None
        remote = rpc.connect("127.0.0.1", int(way.stdout.readline()), board.key)
        talk(remote)
        del remote
        assert way.wait(20) == 0
    said = record.read_bytes()
    greeting_bytes = 8 + struct.unpack_from("<i", said, 4)[0]
    record.write_bytes(said[greeting_bytes:])


def _forward(port: int) -> bytes:
    said, answered = bytearray(), bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_copy, args=(server, client, answered))
            back.start()
            _copy(client, server, said)
            server.shutdown(socket.SHUT_WR)
            back.join(10)
    return bytes(said)


def _copy(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    while data := source.recv(1 << 16):
        kept += data
        target.sendall(data)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(_forward(int(sys.argv[1])))
