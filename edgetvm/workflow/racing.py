"""Whole models on a board in turns, until it is known which is the fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from edgetvm.base.errors import NumericError
from edgetvm.base.steps import warn
from edgetvm.farm.session import BoardSession
from edgetvm.measure.deployment import deploy
from edgetvm.package.archive import Package

# Turns at most, runs in each, and seconds that those may take; the first runs of a turn find cold
# caches.
_TURNS = 5
_RUNS = 200
_TURN_S = 0.5
_WARM = 5
# How many times as long as what it must beat a package may take and stay in the race: after its
# first turn, which a disturbance may have spoiled, and after more.
_HOPE = (1.15, 1.03)


def p50_ms(session: BoardSession, packages: Sequence[Package], needed: float = 1.0) -> list[float]:
    """The median latency of each, opened anew in turns: that of its quickest turn, for something
    else may have run in the others.

    The others race against the first: who can win no more gets no more turns, and without others
    the race is over. One of them whose answers are wrong there is out, which a warning tells: it
    takes forever. Packages of the same library are the same, and run once.

    Args:
        session: with the board.
        packages: the first is what is compared with.
        needed: what another one's latency must be of the first one's, to win.

    Raises:
        NumericError: the board's answers to the first package's sample are wrong.
        BoardError: the board failed.
    """
    libraries = [_library(one) for one in packages]
    places = [libraries.index(one) for one in libraries]
    going = sorted(set(places))
    medians_ms: list[list[float]] = [[] for _ in packages]
    for turn in range(_TURNS):
        for at in going:
            if turn > 0:
                session.open(packages[at].data, None)
            elif not _is_right(session, packages[at], must_be=at == 0):
                continue
            times_ms = session.time_runs(_RUNS, _TURN_S) / 1e6
            medians_ms[at].append(float(median(times_ms[min(_WARM, len(times_ms) // 2) :])))
        going = with_hope(going, list(map(_least, medians_ms)), turn, needed)
        if going == [0]:
            break
    return [_least(medians_ms[at]) for at in places]


def _is_right(session: BoardSession, package: Package, must_be: bool) -> bool:
    """Deploy a package; whether its answers there are right."""
    try:
        deploy(session, package)
    except NumericError as error:
        if must_be:
            raise
        warn(f"left out of the comparison, as its answers on the board are wrong: {error.what}")
        return False
    return True


def _least(medians_ms: Sequence[float]) -> float:
    """Of what never ran infinite."""
    return min(medians_ms, default=math.inf)


def _library(package: Package) -> bytes:
    (target,) = package.manifest.targets
    return package.members[target.library]


def with_hope(
    going: Sequence[int], p50_ms: Sequence[float], turn: int, needed: float = 1.0
) -> list[int]:
    """The first, which all are compared with, and those that may still win.

    Args:
        going: places of those that ran in the last turn.
        p50_ms: by place.
        turn: the last one, from 0.
        needed: see `p50_ms`.
    """
    hope = _HOPE[min(turn, len(_HOPE) - 1)]
    best_ms = min(p50_ms[at] for at in going)
    limit_ms = hope * min(best_ms, needed * p50_ms[0])
    return [at for at in going if at == 0 or p50_ms[at] < limit_ms]
