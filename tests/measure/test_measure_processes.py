"""Processes as samples: what counts, what may be compared, which stored runs are a baseline."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_conditions import window

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from edgetvm.base.errors import UsageError
from edgetvm.measure import Measurement, Store
from edgetvm.measure.processes import (
    baseline_of,
    check_alike,
    compare_processes,
    differences,
    in_turns,
    is_good,
    same_package,
    undisturbed,
)
from edgetvm.measure.rules import Rule
from edgetvm.measure.samples import Samples

# The firmware says that the board is throttled now.
THROTTLED = window(count=5, throttled=4)
QUIET = window(count=5)


def process(number: int, ms: float = 10.0, **changes: object) -> Measurement:
    """A quiet process of five runs."""
    fields = {"windows": (QUIET,), "rule": Rule(5, 0.0, 30.0), **changes}
    device = str(fields.pop("device", "rpi4"))
    samples = Samples.of([round(ms * MS)] * 5)
    one = replace(make(device=device), id=f"{number:04}", samples_ns=samples)
    return replace(one, **fields)


def governed_by(measurement: Measurement, governor: str) -> Measurement:
    place = replace(measurement.environment, governor=governor)
    return replace(measurement, environment=place)


def test_what_may_be_a_baseline() -> None:
    assert is_good(process(1))
    assert not is_good(process(1, windows=(THROTTLED,)))
    assert not is_good(process(1, rule=Rule(6, 0.0, 30.0)))
    wrong = replace(process(1).correctness, max_relative_error=1.0)
    assert not is_good(process(1, correctness=wrong))


def test_turns_go_back_and_forth() -> None:
    order: list[str] = []

    def side(name: str) -> Measurement:
        order.append(name)
        return process(len(order))

    first, second = in_turns([lambda: side("a"), lambda: side("b")], 3)
    assert "".join(order) == "abbaab"
    assert [one.id for one in first] == ["0001", "0004", "0005"]
    assert len(second) == 3


def test_disturbed_processes_are_measured_again_but_not_for_ever() -> None:
    windows = iter([THROTTLED, QUIET, THROTTLED, QUIET, QUIET, QUIET])
    assert len(undisturbed(lambda: process(1, windows=(next(windows),)), 3)) == 3
    assert undisturbed(lambda: process(1, windows=(THROTTLED,)), 3) == ()


def test_ratio_of_processes() -> None:
    found = compare_processes(
        [process(n, 10 + n / 100) for n in range(6)], [process(n, 11 + n / 100) for n in range(6)]
    )
    assert found.ratio == pytest.approx(1.1, rel=0.01)
    assert 1.05 < found.low <= found.high < 1.15


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (process(2, device="rpi5"), "boards: rpi4, rpi5"),
        (governed_by(process(2), "powersave"), "clock governors"),
        (process(2, scenario="offline"), "scenarios"),
        (replace(make(device="rpi4", emulated=True), id="2"), "emulat"),
    ],
)
def test_what_is_never_compared(other: Measurement, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_alike([process(1), other])
    emulated = replace(make(device="rpi4", emulated=True), id="2")
    with pytest.raises(UsageError, match="emulated board say nothing"):
        check_alike([emulated, emulated])


def test_differences_are_told() -> None:
    first = process(1)
    place = replace(first.environment, threads=7, load_average=9.0)
    second = replace(first, environment=place, package_sha256="f" * 64)
    rows = {row.name: row for row in differences(first, second)}
    assert set(rows) == {"threads", "package"}
    assert rows["threads"].second == "7"


def test_which_stored_runs_are_a_baseline(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'r.sqlite'}")
    kept = [
        process(1),
        process(2, package_sha256="e" * 64),
        process(3, windows=(THROTTLED,)),
        governed_by(process(4), "powersave"),
        process(5, device="rpi5"),
        process(6, model="another"),
        process(7, scenario="offline"),
        process(8),
    ]
    for one in kept:
        store.save(one)
    now = process(9)
    assert [one.id for one in baseline_of(store, now, 10)] == ["0001", "0002", "0008"]
    assert [one.id for one in baseline_of(store, now, 2)] == ["0002", "0008"]
    assert [one.id for one in same_package(store, now)] == ["0001", "0008"]
