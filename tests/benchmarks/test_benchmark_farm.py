"""The farm's benchmark can find what it looks for."""

from __future__ import annotations

import itertools
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from benchmarks.farm import fleet_faults
from benchmarks.farm.dealing import dealt
from benchmarks.farm.faults import FAULTS, Answer, doubled
from benchmarks.farm.fleet import Fleet
from benchmarks.farm.fleet_jobs import Job
from benchmarks.farm.history import Held, double_leases
from benchmarks.farm.soak import ALLOWED, Counts, growth


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


@pytest.mark.parametrize("faults", [FAULTS, fleet_faults.FAULTS])
def test_every_fault_has_a_name_of_its_own(faults: Sequence[tuple[str, int, object]]) -> None:
    assert len({name for name, _, _ in faults}) == len(faults) >= 15


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """One without boards."""
    fleet = Fleet(tmp_path, [], 1)
    yield fleet
    fleet.close()


@pytest.mark.parametrize(
    ("said", "silent"),
    [("error: board a: it is away\n", 0), ("Traceback (most recent call last):\n", 1), ("", 1)],
)
def test_a_job_that_fails_without_a_sentence_is_found(
    fleet: Fleet, tmp_path: Path, said: str, silent: int
) -> None:
    (tmp_path / "job.err").write_text(said)
    process = subprocess.Popen(["false"])
    process.wait()
    fleet._note(Job("bench", process, tmp_path / "job.err"))
    assert fleet.found.silent_failures == silent
    assert fleet.found.jobs == {"bench failed": 1}
    assert fleet.found.all_held is not bool(silent)
    assert any(said.strip()[:9] in reason for reason in fleet.found.reasons)


def test_a_rare_fault_comes_as_often_as_it_should() -> None:
    names = dealt({"rare": 1, "common": 4}, Random(1))
    assert Counter(itertools.islice(names, 50)) == {"rare": 10, "common": 40}


def rests(**kinds: list[int]) -> list[Counts]:
    """What was counted at nine rests; 7 of each kind that is not told."""
    return [{**dict.fromkeys(ALLOWED, 7), **{k: v[i] for k, v in kinds.items()}} for i in range(9)]


def test_what_grows_in_a_soak_is_a_leak() -> None:
    assert growth(rests()) == []
    assert growth(rests(threads=[1, 9, 40, 8, 41, 8, 8, 40, 9])) == [], "it comes and goes"
    assert growth(rests(threads=[1, 2, 9, 9, 9, 9, 9, 9, 9])) == [], "it was new at first"
    (leak,) = growth(rests(threads=[7, 8, 9, 10, 11, 12, 13, 14, 15]))
    assert leak == "threads grew from 10 to 14 in 7 rests"
    assert growth(rests(processes=[7, 7, 7, 7, 7, 7, 8, 8, 8]))


def test_a_result_that_is_gone_is_found(fleet: Fleet) -> None:
    fleet._look()
    fleet._kept = {7}, {"a measurement"}
    fleet._look()
    assert fleet.found.lost_results == 2
