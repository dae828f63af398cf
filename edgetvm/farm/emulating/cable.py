"""A bad network cable: it loses some frames and delays the others, or carries few at a time.

    python cable.py PORT TAP LOSS DELAY_MS BYTES_PER_S

For kernels without netem. Frames are carried between PORT, a link that is in no bridge, and TAP, a
link that is made for it. It says its process number when it does, and ends when its standard input
closes. It imports nothing of edgetvm's, for it runs in the boards' namespaces.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

# Of <linux/if_tun.h>, <linux/if_packet.h> and <linux/virtio_net.h>. Frames bring the header that
# says what of them a network card has yet to do (sums, cutting), and take it along.
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_SOL_PACKET, _PACKET_VNET_HDR, _OUTGOING = 263, 15, 4
_EVERY_PROTOCOL = 0x0003
_MOST_BYTES = 10 + 65_600
_MOST_WAITING = 10_000
# What a slow line holds back at most: whatever comes then is lost, as in a modem's buffer.
_MOST_QUEUED_S = 1.0
_SEED = 20

Write = Callable[[bytes], object]


def main(port: str, tap_name: str, loss: float, delay_s: float, bytes_per_s: float) -> None:
    """Carry frames until standard input closes; as many as come where `bytes_per_s` is 0."""
    wire = _wire(port)
    tap = _tap(tap_name)
    ways: list[tuple[socket.socket | int, Write]] = [
        (wire, lambda frame: os.write(tap, frame)),
        (tap, wire.send),
    ]
    waiting: list[tuple[float, int, Write, bytes]] = []
    free_at_s = [0.0, 0.0]
    count, chance = itertools.count(), random.Random(_SEED)  # noqa: S311 - it keeps no secret
    print(os.getpid(), flush=True)
    while True:
        left_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([wire, tap, sys.stdin], [], [], left_s)
        if sys.stdin in ready:
            return
        for way, (source, write) in enumerate(ways):
            frame = _frame(source) if source in ready else b""
            if frame and chance.random() >= loss and len(waiting) < _MOST_WAITING:
                now_s = time.monotonic()
                begins_s = max(now_s, free_at_s[way])
                if begins_s - now_s > _MOST_QUEUED_S:
                    continue
                free_at_s[way] = begins_s + (len(frame) / bytes_per_s if bytes_per_s else 0.0)
                due_s = free_at_s[way] + delay_s
                heapq.heappush(waiting, (due_s, next(count), write, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, write, frame = heapq.heappop(waiting)
            try:
                write(frame)
            except OSError:  # its link is down: the frame is lost
                continue


def _wire(port: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
    wire.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    wire.bind((port, _EVERY_PROTOCOL))
    return wire


def _tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return tap


def _frame(source: socket.socket | int) -> bytes:
    """One frame; empty for one that was sent from here."""
    if isinstance(source, int):
        return os.read(source, _MOST_BYTES)
    frame, address = source.recvfrom(_MOST_BYTES)
    return b"" if address[2] == _OUTGOING else frame


if __name__ == "__main__":
    lost, late_ms, carried = map(float, sys.argv[3:])
    main(sys.argv[1], sys.argv[2], lost, late_ms / 1e3, carried)
