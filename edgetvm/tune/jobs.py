"""What is asked of a board: to time a candidate, and how; and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgetvm.tune.records import Outcome

# Runs of the default that a candidate may take as long as: the yardstick's, and its own.
_RUNS = 30
# Where the default's latency is not known, a job may take so many times as long.
_UNKNOWN = 3


@dataclass(frozen=True)
class Tensor:
    """A kernel's argument: shape and dtype."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Loadable:
    """A kernel as a board takes it.

    Attributes:
        library: a shared object with the kernel.
        arguments: of the kernel.
        function: its name in the library.
    """

    library: bytes
    arguments: tuple[Tensor, ...]
    function: str = "main"


@dataclass(frozen=True)
class How:
    """How candidates are timed.

    Attributes:
        least_ms: shortest time of one repetition; short kernels are run many times in it.
        cold: flush the caches before every repetition, which then runs the kernel once.
        timeout_s: that one candidate of a quick kernel may take on the board.
    """

    least_ms: float = 2.0
    cold: bool = False
    timeout_s: float = 10.0


@dataclass(frozen=True)
class RunJob:
    """A candidate to time.

    Attributes:
        default: the task's default kernel, the yardstick.
        candidate: the same as `default` to time that.
        how: it is timed.
        rounds: times that default and candidate take turns; 1 for a trial.
        compare: whether the answers are compared too; they must take the same arguments.
        default_ms: latency of the default; 0 where it is not known.
        to_beat: latency over the default's that is of interest still. A trial that looks slower is
            timed for a moment only.
    """

    default: Loadable
    candidate: Loadable
    how: How
    rounds: int = 1
    compare: bool = False
    default_ms: float = 0.0
    to_beat: float = 1.0

    @property
    def allowed_s(self) -> float:
        """How long the board may take for it."""
        timeout_s = self.how.timeout_s
        times = math.ceil(_RUNS * self.default_ms / 1000 / timeout_s) or _UNKNOWN
        return timeout_s * times * self.rounds


@dataclass(frozen=True)
class Ran:
    """What became of a candidate on a board; as in `Trial`.

    Attributes:
        error_ratio: largest difference from the default's answers over their largest value.
        begun: whether the board was there when it began; else the candidate has no part in it.
    """

    outcome: Outcome
    times_ms: tuple[float, ...] = ()
    default_ms: float = 0.0
    error: str = ""
    environment: Mapping[str, object] | None = None
    error_ratio: float = 0.0
    begun: bool = True
