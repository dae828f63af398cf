"""Measurements as samples of a comparison: each is one process, and what must agree among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import step, unheard, warn
from edgetvm.measure.comparing import Comparison, compare
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.statistics import summarise
from edgetvm.measure.store import Store
from edgetvm.measure.windows import reasons

# A process that was disturbed is measured again, up to so many turns for each that is wanted.
_TRIES = 2


def is_undisturbed(measurement: Measurement) -> bool:
    """Whether any window of a process counts."""
    windows = measurement.judged_windows
    return not windows or any(not reasons(window) for window in windows)


def is_good(measurement: Measurement) -> bool:
    """Whether a stored measurement may be a baseline: it is VALID, and its answers are right."""
    return (
        is_undisturbed(measurement)
        and measurement.correctness.passed
        and not summarise(measurement).invalid
    )


def in_turns(
    sides: Sequence[Callable[[], Measurement]], processes: int
) -> list[tuple[Measurement, ...]]:
    """Measure several things in turns, a fresh process each time.

    Every other round goes backwards, so that a board that warms up favours none. Other work on the
    board hits all sides alike, and widens the interval of what is compared: disturbed processes
    are told in a warning, and stay.

    Args:
        sides: each measures one thing once, in a process of its own.

    Returns:
        of each side so many measurements.

    Raises:
        BoardError: the board failed.
    """
    found: list[list[Measurement]] = [[] for _ in sides]
    with step(f"measure in turns, {processes} processes each") as this:
        for turn in range(processes):
            for index in sorted(range(len(sides)), reverse=turn % 2 == 1):
                with unheard():
                    found[index].append(sides[index]())
            this.advance(turn + 1, processes)
        disturbed = sum(not is_undisturbed(one) for side in found for one in side)
        this.detail = f"{disturbed} of {processes * len(sides)} were disturbed"
    if disturbed:
        warn(f"{this.detail} by other work: on an idle board smaller differences are seen")
    return [tuple(side) for side in found]


def undisturbed(side: Callable[[], Measurement], processes: int) -> tuple[Measurement, ...]:
    """Measure one thing in fresh processes, to be compared with what was measured before.

    Returns:
        only what nothing disturbed: fewer than wanted on a board that is never idle.

    Raises:
        BoardError: the board failed.
    """
    found: list[Measurement] = []
    with step(f"measure {processes} processes") as this:
        for _ in range(_TRIES * processes):
            with unheard():
                measurement = side()
            found += [measurement] if is_undisturbed(measurement) else []
            this.advance(len(found), processes)
            if len(found) == processes:
                break
        this.detail = f"{len(found)} undisturbed of {processes} wanted"
    return tuple(found)


def compare_processes(first: Sequence[Measurement], second: Sequence[Measurement]) -> Comparison:
    """Compare processes by their medians.

    Raises:
        UsageError: they are of different boards, governors or scenarios, or of an emulated board.
        ValueError: fewer than two of either.
    """
    check_alike([*first, *second])
    return compare(_medians_ms(first), _medians_ms(second))


def _medians_ms(processes: Sequence[Measurement]) -> list[float]:
    return [summarise(one).p50_ms for one in processes]


# What must be the same on both sides, in words.
_ALIKE: tuple[tuple[str, Callable[[Measurement], object]], ...] = (
    ("boards", lambda one: one.environment.device),
    ("board profiles", lambda one: one.environment.profile),
    ("emulation", lambda one: one.environment.emulated),
    ("clock governors", lambda one: one.environment.governor),
    ("scenarios", lambda one: one.scenario),
)


def check_alike(measurements: Sequence[Measurement]) -> None:
    """Refuse measurements that cannot be compared.

    Raises:
        UsageError: they are of different boards, governors or scenarios, or of an emulated board.
    """
    for words, value in _ALIKE:
        values = list(dict.fromkeys(str(value(one)) for one in measurements))
        if len(values) > 1:
            raise UsageError(
                f"they differ in their {words}: {', '.join(values)}",
                where="comparison",
                mend="measure both on the same board in the same state",
            )
    if any(one.environment.emulated for one in measurements):
        raise UsageError(
            "times of an emulated board say nothing about a real one",
            where="comparison",
            mend="compare on a real board",
        )


@dataclass(frozen=True)
class Difference:
    """One thing of the environments that is not the same on both sides."""

    name: str
    first: str
    second: str


# They are never the same, and say nothing.
_UNTOLD = ("load_average",)


def differences(first: Measurement, second: Measurement) -> tuple[Difference, ...]:
    """What differs in how two measurements came about, options and package included."""
    told = [_told(one) for one in (first, second)]
    names = dict.fromkeys([*told[0], *told[1]])
    rows = (Difference(name, told[0].get(name, ""), told[1].get(name, "")) for name in names)
    return tuple(row for row in rows if row.first != row.second)


def _told(measurement: Measurement) -> dict[str, str]:
    place = asdict(measurement.environment)
    versions = place.pop("versions")
    facts = {
        **{name: value for name, value in place.items() if name not in _UNTOLD},
        **versions,
        "options": measurement.options,
        "tuned": measurement.is_tuned,
        "model": measurement.model,
        "package": measurement.package_sha256[:12],
        "package_size_bytes": measurement.package_size_bytes,
    }
    return {name: str(value) for name, value in facts.items()}


def same_package(store: Store, measurement: Measurement) -> tuple[Measurement, ...]:
    """The good stored runs of a measurement's package that can be compared with it; oldest first.

    Each is a process of its own.

    Raises:
        ConfigurationError: one is damaged.
    """
    return _like(
        store, measurement, lambda one: one.package_sha256 == measurement.package_sha256, None
    )


def baseline_of(store: Store, measurement: Measurement, most: int) -> tuple[Measurement, ...]:
    """The last good stored runs of the same model, whatever it was compiled by; oldest first.

    The same board, clock governor, scenario, threads and compile options; the measurement itself is
    none of them.

    Raises:
        ConfigurationError: one is damaged.
    """
    return _like(store, measurement, lambda one: one.options == measurement.options, most)


def _like(
    store: Store, measurement: Measurement, fits: Callable[[Measurement], bool], most: int | None
) -> tuple[Measurement, ...]:
    found: list[Measurement] = []
    for one in reversed(store.ids(measurement.model, measurement.environment.device)):
        if most is not None and len(found) == most:
            break
        stored = store.load(one)
        if _setting(stored) == _setting(measurement) and fits(stored) and is_good(stored):
            found.append(stored)
    return tuple(reversed(found))


def _setting(measurement: Measurement) -> tuple[object, ...]:
    return measurement.environment.threads, *(value(measurement) for _, value in _ALIKE)
