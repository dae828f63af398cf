"""The gate's decisions, on a real board's package with processes whose times are given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from edgetvm.base.errors import BoardGoneError, ModelError, UsageError
from edgetvm.farm import Board
from edgetvm.farm.tracker_client import Address
from edgetvm.measure import Measurement, Store
from edgetvm.measure.samples import Samples
from edgetvm.package.archive import Package
from edgetvm.workflow.comparing import Turn, compare_in_turns
from edgetvm.workflow.gating import GatePlan, gate

BOARD = Board("bench-box", "local", Address("127.0.0.1", 1), "box")
TURN = Turn(processes=6)
Times = Callable[[str, int], float]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'r.sqlite'}")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[Times], None]:
    """Has every name measured by a function of the name and how often it was measured before."""

    def play(times: Times) -> None:
        asked: dict[str, int] = {}
        made = iter(range(10_000))

        def measurer(_board: Board, package: object, _turn: Turn) -> Callable[[], Measurement]:
            name = str(package)

            def once() -> Measurement:
                count = asked[name] = asked.get(name, -1) + 1
                ns = round(times(name, count) * MS)
                one = make(model=name.removesuffix(" before"), device=BOARD.name)
                unique = f"{next(made):05}"
                return replace(one, id=unique, samples_ns=Samples.of([ns] * 5), windows=())

            return once

        @contextmanager
        def at_work(board: Board, *_: object) -> Iterator[Board]:
            yield board

        for module in map(import_module, ("edgetvm.workflow.gating", "edgetvm.workflow.comparing")):
            monkeypatch.setattr(module, "measurer", measurer)
            monkeypatch.setattr(module, "at_work", at_work)
            monkeypatch.setattr(module, "package_of", lambda name, *_: name)

    return play


def against(baseline: str) -> GatePlan:
    # What stands for a package is told by its name only.
    package: Package = baseline  # type: ignore[assignment]
    return GatePlan(0.03, TURN, package)


def wobbling(count: int) -> float:
    return 1 + 0.002 * (count % 3)


@pytest.mark.parametrize(
    ("slower", "outcome", "comparisons"),
    [(1.0, "pass", 1), (1.02, "pass", 1), (1.05, "regression", 2), (0.8, "pass", 1)],
)
def test_beside_a_baseline_package(
    slower: float, outcome: str, comparisons: int, played: Callable[[Times], None], store: Store
) -> None:
    played(lambda name, count: 10 * wobbling(count) * (1 if "before" in name else slower))
    (found,) = gate(["m"], BOARD, against("m before"), store=store)
    assert (found.outcome, len(found.comparisons)) == (outcome, comparisons)
    assert len(store.ids()) == (6 if outcome == "pass" else 0)


def test_an_alarm_that_does_not_come_twice_is_none(
    played: Callable[[Times], None], store: Store
) -> None:
    def times(name: str, count: int) -> float:
        return 10 * wobbling(count) * (1.1 if name == "m" and count < 6 else 1)

    played(times)
    (found,) = gate(["m"], BOARD, against("m before"), store=store)
    assert (found.outcome, len(found.comparisons)) == ("inconclusive", 2)
    assert "did not confirm" in found.why


def test_the_stored_baseline_begins_stays_and_is_not_moved_by_a_regression(
    played: Callable[[Times], None], store: Store
) -> None:
    plan = GatePlan(0.03, TURN)
    speed = 1.0
    played(lambda _name, count: 10 * wobbling(count) * speed)
    (first,) = gate(["m"], BOARD, plan, store=store)
    assert first.outcome == "inconclusive"
    assert "kept for the next" in first.why
    assert len(store.ids()) == 6
    (second,) = gate(["m"], BOARD, plan, store=store)
    assert second.outcome == "pass"
    assert len(store.ids()) == 12
    speed = 1.1
    for _ in range(2):
        (slow,) = gate(["m"], BOARD, plan, store=store)
        assert slow.outcome == "regression"
        assert len(store.ids()) == 12


def test_what_fails_is_an_error_of_that_model_alone(
    played: Callable[[Times], None], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def times(name: str, count: int) -> float:
        if name == "gone":
            raise BoardGoneError("the connection broke")
        return 10 * wobbling(count)

    def package_of(name: str, *_: object) -> str:
        if name == "broken":
            raise ModelError("it is cut off")
        return name

    played(times)
    monkeypatch.setattr(import_module("edgetvm.workflow.gating"), "package_of", package_of)
    found = gate(["broken", "gone", "m"], BOARD, GatePlan(0.03, TURN), store=store)
    assert [one.outcome for one in found] == ["error", "error", "inconclusive"]
    assert "cut off" in found[0].why


def test_what_cannot_be_judged_is_refused_first(store: Store) -> None:
    with pytest.raises(UsageError, match="4 processes"):
        gate(["m"], BOARD, GatePlan(0.03, Turn(processes=4)), store=store)
    with pytest.raises(UsageError, match="several models"):
        gate(["a", "b"], BOARD, against("x"), store=store)


def test_several_are_compared_with_the_first(played: Callable[[Times], None], store: Store) -> None:
    factors = {"a": 1.0, "b": 1.2, "c": 0.9, "d": 1.0}
    played(lambda name, count: 10 * wobbling(count) * factors[name])
    contests = compare_in_turns(list(factors), BOARD, Turn(processes=10), store=store)
    told = [one.told for one in contests]
    assert told == ["slower", "faster", "no difference is shown"]
    assert contests[0].p > contests[0].comparison.p
    assert len(store.ids()) == 40
