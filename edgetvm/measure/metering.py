"""The power that a board takes while it is measured, read from a meter beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import warn
from edgetvm.farm.inventory import Board
from edgetvm.farm.meter import Meter, read_watts

_EVERY_S = 0.5


@dataclass(frozen=True)
class PowerReading:
    """What a meter told.

    Attributes:
        at_s: since the timed runs began, on this machine's clock.
        watts: of the whole board.
    """

    at_s: float
    watts: float


@contextmanager
def metered(board: Board) -> Iterator[list[PowerReading]]:
    """Read the board's meter twice a second while the block lasts.

    The list is filled meanwhile; it stays empty where the board has no meter. A meter that fails is
    told in a warning and has no readings at all: half of them would be of another load.
    """
    readings: list[PowerReading] = []
    if board.meter is None:
        yield readings
        return
    over = threading.Event()
    failures: list[BoardError] = []
    thread = threading.Thread(
        target=_read, args=(board.meter, over, readings, failures), name="meter", daemon=True
    )
    thread.start()
    try:
        yield readings
    finally:
        over.set()
        thread.join()
        for failure in failures:
            warn(f"{board.name}: no energy is told: {failure}")
            readings.clear()


def _read(
    meter: Meter, over: threading.Event, readings: list[PowerReading], failures: list[BoardError]
) -> None:
    began_s = time.monotonic()
    while not over.is_set():
        try:
            watts = read_watts(meter)
        except BoardError as error:
            failures.append(error)
            return
        readings.append(PowerReading(time.monotonic() - began_s, watts))
        over.wait(_EVERY_S)
