"""The farm's benchmark can find what it looks for."""

from __future__ import annotations

from benchmarks.farm.faults import FAULTS, Answer, doubled
from benchmarks.farm.history import Held, double_leases


def test_an_answer_to_a_former_holder_is_found() -> None:
    first, later = Answer("a", 1, 0, 5), Answer("a", 2, 10, 11)
    assert doubled([first, later, Answer("b", 1, 20, 21)]) == []
    ghost = Answer("a", 1, 12, 13)
    assert doubled([first, later, ghost]) == [ghost]


def test_an_answer_that_was_written_down_late_is_none_to_a_former_holder() -> None:
    assert doubled([Answer("a", 1, 0, 50), Answer("a", 2, 10, 11)]) == []


def test_a_doubled_lease_of_a_race_is_found() -> None:
    first = Held("a", 1, "x", 0, 10)
    assert double_leases([first, Held("a", 2, "y", 10, 20), Held("b", 3, "y", 5, 15)]) == []
    assert double_leases([Held("a", 2, "y", 9, 20), first])
    assert double_leases([first, Held("a", 1, "y", 11, 20)])


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({name for name, _, _ in FAULTS}) == len(FAULTS) >= 15
