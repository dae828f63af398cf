"""Jobs are made in lots; what a lot dies of costs one job alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from real_board import within

from edgetvm.base.workers import WorkerLate, WorkerLost
from edgetvm.tune.lots import Lots

_WAIT_S = 20
Answers = Sequence[Any]


class Hand:
    """Answers with tenfold numbers, when it may; notes its lots."""

    def __init__(self, dies_of: Callable[[tuple[int, ...]], BaseException | None] = lambda _: None):
        self.lots: list[tuple[int, ...]] = []
        self.ends: Callable[[], None] | None = None
        self.may = threading.Event()
        self._dies_of = dies_of

    def __call__(self, jobs: tuple[int, ...]) -> Answers:
        assert self.may.wait(_WAIT_S)
        self.lots.append(jobs)
        if self.ends is not None and len(jobs) > 1:
            self.ends()
        error = self._dies_of(jobs)
        if error is not None:
            raise error
        return [10 * one if one % 7 else ValueError(f"no {one}") for one in jobs]


def _asked(lots: Lots[int], jobs: Sequence[int]) -> list[Future[int]]:
    return [lots.submit(one) for one in jobs]


def _ended(future: Future[int]) -> int | str:
    error = future.exception(_WAIT_S)
    return future.result() if error is None else str(error)


def test_what_waits_is_made_in_lots_and_each_job_has_its_own_answer() -> None:
    hand = Hand()
    lots = Lots[int]([hand], most=4)
    found = _asked(lots, range(1, 11))
    hand.may.set()
    assert [_ended(one) for one in found] == [
        10, 20, 30, 40, 50, 60, "no 7", 80, 90, 100,
    ]  # fmt: skip
    assert sum(hand.lots, ()) == tuple(range(1, 11))
    assert max(map(len, hand.lots)) == 4
    lots.close()


def test_what_waits_is_shared_among_the_hands() -> None:
    hands = [Hand(), Hand()]
    lots = Lots[int](hands, most=8)
    first = _asked(lots, [1, 2])  # one each keeps them busy
    assert within(_WAIT_S, lambda: all(one.running() for one in first))
    rest = _asked(lots, range(22, 28))
    hands[0].may.set()
    assert [_ended(one) for one in rest] == [10 * one for one in range(22, 28)]
    hands[1].may.set()
    assert [_ended(one) for one in first] == [10, 20]
    # Three of six are left to the other one, then two of three, and one.
    assert [len(one) for one in hands[0].lots] == [1, 3, 2, 1]
    lots.close()


@pytest.mark.parametrize("error", [WorkerLost("SIGSEGV"), WorkerLate("no answer")])
def test_a_lot_that_its_hand_dies_of_costs_the_guilty_alone(error: Exception) -> None:
    hand = Hand(lambda jobs: error if 3 in jobs else None)
    lots = Lots[int]([hand], most=8)
    found = _asked(lots, [1, 2, 3, 4])
    hand.may.set()
    assert [_ended(one) for one in found] == [10, 20, str(error), 40]
    assert hand.lots[-1] == (4,) and (3,) in hand.lots
    lots.close()


def test_any_other_error_of_a_hand_belongs_to_all_that_was_asked() -> None:
    hand = Hand(lambda _: RuntimeError("the cluster is gone"))
    lots = Lots[int]([hand], most=8)
    found = _asked(lots, [1, 2, 3])
    hand.may.set()
    assert [_ended(one) for one in found] == ["the cluster is gone"] * 3
    lots.close()


def test_what_waits_at_the_end_is_cancelled() -> None:
    hand = Hand()
    lots = Lots[int]([hand], most=1)
    first, *rest = _asked(lots, [1, 2, 3])
    assert within(_WAIT_S, first.running)
    lots.close()
    hand.may.set()
    assert _ended(first) == 10
    assert all(one.cancelled() for one in rest)
    with pytest.raises(RuntimeError, match="after the end"):
        lots.submit(4)


def test_a_lot_that_is_under_way_at_the_end_is_told_so() -> None:
    hand = Hand(lambda jobs: WorkerLost("closed") if len(jobs) > 1 else None)
    lots = Lots[int]([hand], most=4)
    first = lots.submit(1)
    assert within(_WAIT_S, first.running)
    rest = _asked(lots, [2, 3])
    hand.ends = lots.close
    hand.may.set()
    assert [_ended(one) for one in rest] == ["closed", "closed"]


def test_a_job_of_its_own_waits_for_no_other() -> None:
    hand = Hand()
    lots = Lots[int]([hand], most=8)
    first = lots.submit(1)
    assert within(_WAIT_S, first.running)
    found = [lots.submit(2), lots.submit(3, alone=True), *_asked(lots, [4, 5])]
    hand.may.set()
    assert [_ended(one) for one in (first, *found)] == [10, 20, 30, 40, 50]
    assert hand.lots == [(1,), (2,), (3,), (4, 5)]
    lots.close()


def test_whatever_a_hand_raises_is_told_and_it_goes_on() -> None:
    hand = Hand(lambda jobs: KeyboardInterrupt() if 1 in jobs else None)
    lots = Lots[int]([hand], most=8)
    hand.may.set()
    assert isinstance(lots.submit(1).exception(_WAIT_S), KeyboardInterrupt)
    assert _ended(lots.submit(2)) == 20
    lots.close()
