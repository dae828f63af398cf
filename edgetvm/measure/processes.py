"""Measurements as samples of a comparison: each is one process, and what must agree among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import step
from edgetvm.measure.comparing import Comparison, compare
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.statistics import summarise
from edgetvm.measure.store import Store
from edgetvm.measure.windows import reasons

# Of turns that were disturbed so many are taken once more, for each that is wanted.
_TRIES = 2


def counts(measurement: Measurement) -> bool:
    """Whether any window of a process counts, and its answers are right."""
    windows = measurement.judged_windows
    undisturbed = not windows or any(not reasons(window) for window in windows)
    return undisturbed and measurement.correctness.passed


def is_good(measurement: Measurement) -> bool:
    """Whether a stored measurement may be a baseline: it counts, and its rule was met."""
    return counts(measurement) and not summarise(measurement).invalid


def in_turns(
    sides: Sequence[Callable[[], Measurement]], processes: int
) -> list[tuple[Measurement, ...]]:
    """Measure several things in turns, a fresh process each time.

    Every other round goes backwards, so that a board that warms up favours none. A process that
    was disturbed is left out, and its side has another turn, up to twice as many as are wanted.

    Args:
        sides: each measures one thing once, in a process of its own.
        processes: that count, of each.

    Returns:
        of each side the measurements that count; fewer than wanted on a board that is never quiet.

    Raises:
        BoardError: the board failed.
    """
    found: list[list[Measurement]] = [[] for _ in sides]
    with step(f"measure in turns, {processes} processes each") as this:
        for turn in range(_TRIES * processes):
            order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
            for index in order:
                if len(found[index]) < processes:
                    taken = sides[index]()
                    found[index] += [taken] if counts(taken) else []
            fewest = min(map(len, found))
            this.advance(fewest, processes)
            if fewest == processes:
                break
        this.detail = f"{min(map(len, found))} undisturbed of {processes} wanted"
    return [tuple(one) for one in found]


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
