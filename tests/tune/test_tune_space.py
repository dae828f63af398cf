"""What a search proposes: every candidate once, the best known first, some of them blindly."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import made_form

from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.space import Space, key_of
from edgetvm.tune.tasks import Form

Taken = frozenset[tuple[str, str]]

_values = st.lists(st.text("0123456789xabc", max_size=3), min_size=1, max_size=5, unique=True)
_candidates = st.dictionaries(st.sampled_from("tile order lanes cores".split()), _values)
_operators = st.sampled_from([{}, {"conv2d": {"packing": "8"}}])


@pytest.fixture(scope="module", autouse=True)
def same_chance() -> Iterator[None]:
    """The same in every run of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)
        yield


class _KnowsNothing:
    def predict(self, form: Form, choices: list[KernelChoice]) -> None:
        return None


class _PrefersLarge:
    """The larger the number that is decided, the faster."""

    def predict(self, form: Form, choices: list[KernelChoice]) -> list[float]:
        return [-_number(one) for one in choices]


def _number(choice: KernelChoice) -> int:
    return int(choice.decisions["tile"])


def taken(choice: KernelChoice) -> Taken:
    """What a choice decides otherwise than untuned."""
    return frozenset(choice.decisions.items())


def every(form: Form) -> set[Taken]:
    """All that may be decided, from the definition: any candidates together, without defaults."""
    return {
        frozenset(zip(form.candidates, values, strict=True)) - set(form.defaults.items())
        for values in itertools.product(*form.candidates.values())
    }


def numbered(count: int, at: int = 0) -> Form:
    """A form of so many candidates beside the default, which is 0."""
    return made_form({"tile": [str(one) for one in range(count + 1)]}, shape=(at + 1, 1))


@settings(deadline=None)
@given(
    _candidates,
    _operators,
    st.lists(st.integers(0, 9), min_size=1).filter(any),
    st.randoms(use_true_random=False),
)
def test_every_candidate_is_proposed_once_and_neither_the_untuned_one_nor_a_known_one(
    candidates: Mapping[str, Sequence[str]],
    operators: Mapping[str, Mapping[str, str]],
    counts: list[int],
    draw: random.Random,
) -> None:
    form = made_form(candidates, operators=operators)
    expected = every(form)
    if not operators:
        expected.remove(frozenset())
    known = {one for one in expected if draw.random() < 0.3}
    space = Space(form)
    space.leave_out(key_of(form.workload, KernelChoice("another", dict(one))) for one in known)
    space.leave_out([key_of("another kernel", KernelChoice("rule", dict(one))) for one in expected])
    proposed: list[Taken] = []
    for count in itertools.cycle(counts):
        assert space.left == len(expected) - len(known) - len(proposed)
        if space.left == 0:
            break
        lot = space.propose(count, _KnowsNothing())
        assert len(lot) == min(count, len(expected) - len(known) - len(proposed))
        assert {one.rule for one in lot} <= {"rule"}
        proposed += map(taken, lot)
    assert len(proposed) == len(set(proposed))
    assert set(proposed) == expected - known
    assert space.propose(8, _KnowsNothing()) == []


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 20))
def test_four_of_five_are_the_best_ranked_and_come_first(count: int, wanted: int, at: int) -> None:
    space = Space(numbered(count, at))
    lot = [_number(one) for one in space.propose(wanted, _PrefersLarge())]
    assert len(set(lot)) == len(lot) == min(wanted, count)
    ranked = len(lot) - min(round(wanted / 5), count)
    best = lot[:ranked]
    assert best == sorted(best, reverse=True)
    blind = set(lot[ranked:])
    assert best == [one for one in range(count, 0, -1) if one not in blind][:ranked]


def test_the_others_are_drawn_from_all_of_the_space() -> None:
    """A model that is wrong everywhere but at the top is found out."""
    blind: list[int] = []
    for at in range(40):
        blind += map(_number, Space(numbered(100, at)).propose(10, _PrefersLarge())[8:])
    assert len(blind) == 80
    thirds = [sum(low < one <= low + 33 for one in blind) for low in (0, 33, 66)]
    assert min(thirds) >= 12, thirds


def test_where_nothing_is_known_all_are_drawn() -> None:
    lots = [[*map(_number, Space(numbered(50, at)).propose(8, _KnowsNothing()))] for at in (1, 2)]
    assert lots[0] != lots[1]
    assert all(lot != sorted(lot) for lot in lots)
    assert max(map(max, lots)) > 25


def test_two_processes_that_tune_the_same_try_different_things_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lots = []
    for process in (1, 2):
        monkeypatch.setattr("os.getpid", lambda process=process: process)
        lots.append([*map(_number, Space(numbered(50)).propose(50, _KnowsNothing()))])
    assert lots[0][:8] != lots[1][:8]
    assert sorted(lots[0]) == sorted(lots[1])


def test_a_space_too_large_to_list_is_drawn_from() -> None:
    listed = made_form({"a": [*map(str, range(64))], "b": [*map(str, range(64))]})
    assert Space(listed).left == 64 * 64 - 1
    larger = made_form({"a": [*map(str, range(80))], "b": [*map(str, range(100))]})
    space = Space(larger)
    # Of 8000, 4096 draws with repetition are expected to find 8000 (1 - exp(-4096 / 8000)) = 3206.
    assert 3000 < space.left <= 4096
    drawn = [taken(one) for one in space.propose(5000, _KnowsNothing())]
    assert len(drawn) == len(set(drawn))
    assert frozenset() not in drawn
    assert set(drawn) < every(larger)
    places = [int(dict(one).get("a", "0")) for one in drawn]
    assert set(places) == set(range(80))


def test_a_candidate_that_a_board_makes_the_same_as_another_is_one() -> None:
    """`(1, profile.cores)` on a board of one core."""
    decisions = Decisions()
    assert decisions.choose("cores", (1, 1), 1) == 1
    assert decisions.choose("tile", (4, 8, 4), 8) == 8
    assert decisions.candidates == {"cores": ("1",), "tile": ("4", "8")}
