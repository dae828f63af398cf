"""A board that becomes slower is noticed by its defaults, and one slow look is not enough."""

from __future__ import annotations

from edgetvm.tune.steadiness import Steadiness


def test_a_board_that_stays_slower_is_told_by_how_much() -> None:
    board = Steadiness()
    for latency_ms in (4.0, 4.1, 2.0, 3.0, 3.1, 3.2):
        board.saw("a", "conv", latency_ms)
        board.saw("b", "conv", latency_ms / 1000 + 1)
        assert board.slowed("a") is None
    board.saw("a", "pool", 1.0)  # nobody knows what it took before
    for latency_ms in (3.0, 2.6, 2.7, 2.8):
        board.saw("a", "conv", latency_ms)
    assert board.slowed("a") == 1.3
    assert board.slowed("b") is None
    board.saw("a", "conv", 2.0)
    assert board.slowed("a") is None


def test_the_same_look_counts_once() -> None:
    board = Steadiness()
    for latency_ms in (2.0, *[4.0] * 9):
        board.saw("a", "conv", latency_ms)
    assert board.slowed("a") is None
    assert board.slowed("nobody") is None
