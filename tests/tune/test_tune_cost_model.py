"""The cost model: it learns to rank, from trials of all kinds, and says when it knows nothing."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_trials import HERE, made_form, made_trial
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune import transfer
from edgetvm.tune.cost_model import CostModel, features, learn_all
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.generic import TITLE
from edgetvm.tune.jobs import Tensor
from edgetvm.tune.records import OUTCOMES, Conditions, Outcome, Trial
from edgetvm.tune.tasks import Form, Task, Tasks

_SIZES = (1, 2, 4, 8, 16, 32)
_TILES = [f"{rows}x{lanes} lanes" for rows, lanes in itertools.product(_SIZES, _SIZES)]
_ORDERS = ["points", "features"]


def tiled(extent: int) -> Form:
    """A kernel of that size."""
    return made_form({"tile": _TILES, "order": _ORDERS}, shape=(extent, 64))


def rule_ratio(form: Form, tile: str, order: str) -> float:
    """Made up: tiles of 4 rows and half of the kernel's own extent are best, features first."""
    rows, lanes = map(int, tile.removesuffix(" lanes").split("x"))
    best = form.arguments[0].shape[0] // 2
    off = abs(math.log2(rows / 4)) + abs(math.log2(lanes / best))
    return 0.4 * 1.3**off * (1.25 if order == "points" else 1.0)


def trials_of(form: Form) -> list[Trial]:
    """One of each candidate."""
    return [
        made_trial(form.workload, rule_ratio(form, tile, order), {"tile": tile, "order": order})
        for tile, order in itertools.product(_TILES, _ORDERS)
    ]


def off(predicted: ArrayLike, actual: ArrayLike) -> float:
    """The mean error."""
    return float(np.mean(np.abs(np.subtract(predicted, actual))))


@pytest.mark.parametrize("seed", range(3))
def test_it_ranks_candidates_that_it_has_not_seen(seed: int) -> None:
    draw, model, unseen = random.Random(seed), CostModel(), {}
    for form in map(tiled, (4, 16, 64)):
        trials = trials_of(form)
        draw.shuffle(trials)
        for trial in trials[:48]:
            model.learn(form, trial)
        unseen[form.arguments[0].shape[0]] = form, trials[48:]
    for form, trials in unseen.values():
        predicted = model.predict(form, [one.choice for one in trials])
        assert predicted is not None
        actual = [math.log(one.ratio) for one in trials]
        assert spearmanr(predicted, actual).statistic > 0.7
        # What is predicted is the logarithm itself, not only the order: better than the mean does.
        assert off(predicted, actual) < 0.8 * off(np.mean(actual), actual)
        # Of the eight that it would try first, half are among the fastest quarter.
        first = sorted(range(len(trials)), key=lambda at: predicted[at])[:8]
        quarter = sorted(actual)[len(actual) // 4]
        assert sum(actual[at] <= quarter for at in first) >= 4


def test_a_kernel_that_was_never_measured_is_ranked_by_others_of_the_rule() -> None:
    model = CostModel()
    for form in map(tiled, (4, 8, 32, 64)):
        for trial in trials_of(form):
            model.learn(form, trial)
    new = tiled(16)
    trials = trials_of(new)
    predicted = model.predict(new, [one.choice for one in trials])
    assert predicted is not None
    assert spearmanr(predicted, [one.ratio for one in trials]).statistic > 0.7
    another_rule = [KernelChoice("another rule", one.choice.decisions) for one in trials]
    assert model.predict(new, another_rule) is None


def test_too_few_trials_answer_nothing() -> None:
    form, model = tiled(16), CostModel()
    trials = trials_of(form)
    choices = [one.choice for one in trials[:3]]
    for trial in trials[:15]:
        model.learn(form, trial)
        assert model.predict(form, choices) is None
    model.learn(form, trials[15])
    told = model.predict(form, choices)
    assert told is not None and len(told) == 3


@pytest.mark.parametrize("outcome", [one for one in OUTCOMES if one not in ("ok", "board lost")])
def test_what_failed_counts_as_slow(outcome: Outcome) -> None:
    form, model = tiled(16), CostModel()
    fails = {tile: tile.startswith("32x") for tile in _TILES}
    for tile, order in itertools.product(_TILES, _ORDERS):
        decisions = {"tile": tile, "order": order}
        told: Outcome = outcome if fails[tile] else "ok"
        model.learn(form, made_trial(form.workload, 0.5, decisions, outcome=told))
    predicted = model.predict(form, [KernelChoice("rule", {"tile": one}) for one in _TILES])
    assert predicted is not None
    for tile, value in zip(_TILES, predicted, strict=True):
        # Four times as slow as the default, or twice as fast, as it was taught.
        assert math.exp(value) == pytest.approx(4.0 if fails[tile] else 0.5, rel=0.1), tile


def test_a_board_that_was_lost_and_a_time_without_a_yardstick_teach_nothing() -> None:
    form, model = tiled(16), CostModel()
    trials = trials_of(form)
    for trial in trials:
        model.learn(form, replace(trial, outcome="board lost", times_ms=()))
        model.learn(form, replace(trial, default_ms=0.0))
    assert model.predict(form, [trials[0].choice]) is None


_shapes = st.lists(st.integers(1, 4096), max_size=8).map(tuple)
_arguments = st.lists(_shapes.map(lambda one: Tensor(one, "float32")), min_size=1, max_size=5)
_words = st.text("0123456789x ofpintslae-", min_size=1, max_size=60)
_candidates = st.dictionaries(
    _words, st.lists(_words, min_size=1, max_size=4, unique=True), max_size=12
)


@settings(deadline=None)
@given(_arguments, _candidates, st.data())
def test_all_forms_of_a_rule_are_told_in_as_many_numbers(
    arguments: list[Tensor], candidates: Mapping[str, Sequence[str]], data: st.DataObject
) -> None:
    form = replace(made_form(candidates), arguments=tuple(arguments))
    decisions = {name: data.draw(st.sampled_from([*one])) for name, one in candidates.items()}
    decisions |= dict.fromkeys(data.draw(st.sets(st.sampled_from([*candidates, "x"]))), "gone")
    known = features(tiled(16), [KernelChoice("rule", {"tile": _TILES[5]})])
    found = features(form, [KernelChoice("rule", decisions)])
    assert found.shape == known.shape
    assert found.dtype == np.float32 and np.isfinite(found).all()


_decided = st.integers(-1, 10**6) | st.lists(st.integers(1, 4096), max_size=6)


@settings(deadline=None)
@given(_arguments, st.lists(st.tuples(st.integers(0, 99), _decided), max_size=80))
def test_all_traces_are_told_in_as_many_numbers(
    arguments: list[Tensor], decisions: list[tuple[int, int | list[int]]]
) -> None:
    form = replace(made_form({}), arguments=tuple(arguments))
    known = features(form, [KernelChoice(TITLE, trace="[[], []]")])
    found = features(form, [KernelChoice(TITLE, trace=json.dumps([[[]] * 7, decisions]))])
    assert found.shape == known.shape and np.isfinite(found).all()
    assert not np.array_equal(found, known)


def test_candidates_that_differ_are_told_apart() -> None:
    form = tiled(16)
    told = [features(form, [one.choice])[0] for one in trials_of(form)]
    assert len({one.tobytes() for one in told}) == len(_TILES) * len(_ORDERS)
    untuned, written = KernelChoice("rule"), KernelChoice("rule", dict(form.defaults))
    assert np.array_equal(*features(form, [untuned, written]))


def contradicting(form: Form, fast: str) -> list[Trial]:
    """Trials that find one order twice as fast, and the other half as fast."""
    return [
        made_trial(form.workload, 0.5 if order == fast else 2.0, {"tile": tile, "order": order})
        for tile, order in itertools.product(_TILES, _ORDERS)
    ]


@pytest.mark.parametrize("mine", _ORDERS)
def test_where_boards_contradict_each_other_the_weightier_one_is_believed(mine: str) -> None:
    (other,) = set(_ORDERS) - {mine}
    form, model = tiled(16), CostModel()
    learn_all(model, contradicting(form, other), {form.workload: form}, 0.3)
    learn_all(model, contradicting(form, mine), {form.workload: form})
    predicted = model.predict(form, [KernelChoice("rule", {"order": one}) for one in (mine, other)])
    assert predicted is not None
    # By the weights: 1 part of log 1/2 and 0.3 of log 2.
    expected = math.log(2) * (0.3 - 1) / 1.3
    assert predicted == pytest.approx([expected, -expected], abs=0.05)


def test_trials_whose_kernel_is_not_known_or_is_of_another_rule_are_passed_over() -> None:
    form, model = tiled(16), CostModel()
    learn_all(model, trials_of(form), {})
    learn_all(model, trials_of(form), {form.workload: replace(form, rule="renamed")})
    assert model.predict(form, [KernelChoice("rule")]) is None


def test_boards_of_another_profile_teach_less_than_the_own_and_their_best_are_tried_first(
    tmp_path: Path,
) -> None:
    form = tiled(16)
    tasks = Tasks((Task("kernel", 1, ("node",), "matmul", 0, 0, form),), {})
    model = CostModel()
    with TuningDatabase(tmp_path / "mine") as mine, TuningDatabase(tmp_path / "others") as others:
        elsewhere = Conditions("another", HERE.architecture, HERE.level, HERE.cores)
        foreign = Conditions("third", "aarch64", HERE.level, HERE.cores)
        for database in (mine, others):
            database.add_workload(form, "matmul")
        for trial in contradicting(form, "points"):
            others.append(None, elsewhere, trial)
            others.append(None, foreign, replace(trial, times_ms=(1e-6,)))
        for trial in contradicting(form, "features"):
            others.append(None, HERE, trial)
        seeds = transfer.learn_from_others(model, [mine, others], tasks, HERE)
    predicted = model.predict(form, [KernelChoice("rule", {"order": one}) for one in _ORDERS])
    assert predicted is not None and predicted[0] > 0.2 > -0.2 > predicted[1]
    (choices,) = seeds.values()
    assert [*seeds] == [form.workload] and len(choices) == 2
