"""Threads whose questions are answered kind by kind."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgetvm.measure.turns import Turns


def test_all_questions_of_a_kind_are_answered_before_the_next_kind() -> None:
    served: list[str] = []

    def serve(kind: str, question: int) -> int:
        served.append(kind)
        return question + (1 if kind == "more" else 10)

    turns = Turns(serve)

    def work(item: int) -> int:
        value = turns.ask("more", item)
        for _ in range(item):
            value = turns.ask("much more", value)
        return turns.ask("more", value)

    items = list(range(20))
    assert turns.run(work, items) == [item + 2 + 10 * item for item in items]
    changes = sum(a != b for a, b in pairwise(served))
    # Two lots of at most 16: each kind is made ready once or twice for all of a lot.
    assert changes <= 7
    assert served.count("more") == 40


def test_after_a_failure_nothing_is_tried_and_every_thread_ends() -> None:
    served = []

    def serve(kind: str, question: int) -> int:
        served.append(question)
        if question == 2:
            raise ValueError("two")
        return question

    turns = Turns(serve)

    def work(item: int) -> int:
        return turns.ask("b", 10 * turns.ask("a", item))

    with pytest.raises(ValueError, match="two"):
        turns.run(work, [2, 1, 3])
    assert served.count(2) == 1
    assert not [one for one in served if one >= 10]
    assert turns.run(work, [5]) == [50]
