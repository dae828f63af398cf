"""What is asked of a session with a board, and what it answers, as records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Opened:
    """A package that is open on a board.

    Attributes:
        open_ns: from the package's bytes on the board to a model ready to run, verified.
        first_run_ns: the first run after that, on the package's sample.
        threads: that the model runs on.
        profile: of the package's target that the board took.
        outputs: the board's answers to the sample.
    """

    open_ns: int
    first_run_ns: int
    threads: int
    profile: str
    outputs: dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Stamps:
    """Queries that ran on a board.

    Attributes:
        began_ns, ended_ns: of each, int64 `[queries]`, from the beginning of the call.
        on_board_ns: the whole call, as the board took it.
    """

    began_ns: NDArray[np.int64]
    ended_ns: NDArray[np.int64]
    on_board_ns: int


@dataclass(frozen=True)
class Pace:
    """How streams run in real time.

    Attributes:
        period_ns: from chunk to chunk of a stream.
        streams: at once.
        count: chunks of each.
        keep: from how many of them the outputs are wanted.
        skip: leave out a chunk where the next one of its stream arrived before it could begin.
        max_s: no chunk begins after so long.
    """

    period_ns: int
    streams: int
    count: int
    keep: int
    skip: bool
    max_s: float
