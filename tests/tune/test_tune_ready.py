"""Which candidate a board is given next."""

from __future__ import annotations

import threading

from edgetvm.tune.ready import Ready


def _ready(*waiting: str) -> Ready[str]:
    """Candidates named by their task and a number, as `a1`."""
    ready = Ready[str](lambda one: one[0])
    for one in waiting:
        ready.put(one)
    return ready


def test_a_board_stays_with_its_task_and_another_takes_the_next() -> None:
    ready = _ready("a1", "b1", "a2", "b2", "c1")
    taken = [ready.take(board, 0) for board in ("one", "two", "one", "two", "one")]
    assert taken == ["a1", "b1", "a2", "b2", "c1"]


def test_boards_share_a_task_where_there_is_no_other() -> None:
    ready = _ready("a1", "a2")
    assert (ready.take("one", 0), ready.take("two", 0)) == ("a1", "a2")


def test_every_candidate_is_taken_by_somebody_though_its_board_is_gone() -> None:
    ready = _ready("a1", "a2", "b1")
    assert ready.take("lost", 0) == "a1"
    assert {ready.take("other", 0), ready.take("other", 0)} == {"a2", "b1"}
    assert ready.take("other", 0) is None


def test_who_waits_is_woken() -> None:
    ready = _ready()
    threading.Timer(0.05, ready.put, ["a1"]).start()
    assert ready.take("one", 30) == "a1"
