"""How long each part of an SSH connection may take. SSH itself waits for hours, or for ever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """Seconds.

    Attributes:
        name_s: to find the address of a name.
        connect_s: to open a TCP connection.
        banner_s: until the server says that it speaks SSH.
        keys_s: to exchange keys, the banner included.
        login_s: to log in, each key by itself.
        channel_s: to open a channel, and for each of its requests.
        proof_s: for the round trip that proves a connection alive.
        silence_s: without an answer of the other side's kernel, until a connection is given up.
        idle_s: after which an idle connection is proven alive before it is used again.
    """

    name_s: float = 10.0
    connect_s: float = 10.0
    banner_s: float = 10.0
    keys_s: float = 20.0
    login_s: float = 15.0
    channel_s: float = 10.0
    proof_s: float = 5.0
    silence_s: float = 20.0
    idle_s: float = 15.0


class Watch:
    """Tells whether the deadline has passed."""

    def __init__(self) -> None:
        self.fired = False


@contextmanager
def watched(deadline_s: float, end: Callable[[], object]) -> Iterator[Watch]:
    """Call `end` when the block takes too long; it must make what the block waits for fail.

    Whatever `end` itself comes to is of no interest: the block tells how it ended.
    """
    watch = Watch()

    def fire() -> None:
        watch.fired = True
        with contextlib.suppress(Exception):
            end()

    timer = threading.Timer(deadline_s, fire)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
