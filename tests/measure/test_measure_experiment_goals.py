"""Ratios of rounds, goals, ranks, fronts and answers, of rows whose figures are known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import make

from edgetvm.compile.artifact import Kernel
from edgetvm.compile.options import CompileOptions
from edgetvm.measure.experiment.answers import answers
from edgetvm.measure.experiment.file import Experiment, Goals, ModelVariant, Question, Target
from edgetvm.measure.experiment.goals import (
    are_missed,
    front,
    judged,
    meeting,
    out_of_reach,
    ranked,
    too_slow,
)
from edgetvm.measure.experiment.remarks import remarks
from edgetvm.measure.experiment.rows import Built, Results, Round, Row, ratio
from edgetvm.measure.experiment.variants import Block, Place, Variant

BASE = Variant("float", "here")
INT8 = replace(BASE, model="int8")


def rounds(medians_ms: Sequence[float], session: str = "s", first: int = 0) -> tuple[Round, ...]:
    return tuple(Round(session, first + at, ms) for at, ms in enumerate(medians_ms))


def row(
    variant: Variant,
    medians_ms: Sequence[float],
    top1: float = 0.9,
    kb: float = 100,
    session: str = "s",
    remarks: tuple[str, ...] = (),
) -> Row:
    """A variant that was measured on this machine."""
    built = Built("ab" * 32, round(kb * 1024), 1024, None, remarks)
    measurement = make(device="local", metrics={"top1": top1})
    taken = rounds(medians_ms, session)
    return Row(variant, "local", built=built, measurement=measurement, rounds=taken)


def results(*rows: Row, goals: Goals | None = None, questions: Sequence[Question] = ()) -> Results:
    block = Block(model=("float", "int8"), opt_level=(0, 1, 2, 3, 4))
    models = {name: ModelVariant("model.onnx") for name in ("float", "int8")}
    experiment = Experiment(
        "mine",
        "what it is for",
        models,
        {"here": Target("local")},
        BASE,
        (block,),
        goals=goals,
        questions=tuple(questions),
    )
    return Results(experiment, rows, "top1", 1.0)


def test_a_ratio_is_of_neighbours_in_time() -> None:
    """The machine became twice as slow: neither of both is hit by it alone."""
    base, other = row(BASE, [1, 2, 1, 2]), row(INT8, [0.5, 1.0, 0.5, 1.2])
    found = ratio(other, base)
    assert found is not None
    assert (found.middle, found.least, found.most, found.rounds) == (0.5, 0.5, 0.6, 4)
    assert found.is_told


def test_what_was_measured_apart_is_compared_by_the_baseline_beside_each() -> None:
    base = replace(row(BASE, [1, 1]), rounds=rounds([1, 1], "a") + rounds([4, 4], "b"))
    early, late = row(INT8, [0.5, 0.5], session="a"), row(BASE, [4, 4], session="b")
    late = replace(late, variant=replace(BASE, opt_level=4))
    assert ratio(late, early) is None
    found = ratio(late, early, base)
    assert found is not None
    assert (found.middle, found.rounds) == (2.0, 0)


def test_emulated_times_are_never_compared_or_ranked() -> None:
    emulated = replace(row(INT8, [0.001, 0.001]), emulated=True)
    found = results(row(BASE, [1, 1]), emulated, goals=Goals(min_time_saved_pct=1))
    assert ratio(emulated, found.baseline, found.baseline) is None
    assert ranked(found) == [found.baseline]
    assert front(found) == [found.baseline]
    assert judged(found, emulated)[0].met is None
    assert are_missed(found)


def test_goals_and_ranks() -> None:
    goals = Goals(min_time_saved_pct=20, max_accuracy_lost_pct=1, max_package_kb=500)
    good = row(INT8, [0.6, 0.6], top1=0.895, kb=200)
    fast_but_worse = row(replace(INT8, opt_level=4), [0.4, 0.4], top1=0.8)
    slow = row(replace(INT8, opt_level=0), [0.81, 0.9])
    large = row(replace(INT8, opt_level=2), [0.5, 0.5], kb=501)
    found = results(row(BASE, [1, 1]), slow, fast_but_worse, large, good, goals=goals)
    assert meeting(found) == [good]
    assert not are_missed(found)
    assert ranked(found) == [good, fast_but_worse, large, slow, found.baseline]
    told = {one.goal: (one.value, one.met) for one in judged(found, fast_but_worse)}
    assert told == {
        "min_time_saved_pct": ("60.0% less", True),
        "max_accuracy_lost_pct": ("10.00%", False),
        "max_package_kb": ("100.0 kB", True),
    }
    assert "501.0 kB where the goal is a package of at most 500.0 kB" in out_of_reach(found, large)
    assert out_of_reach(found, slow) == ""


def test_who_misses_a_goal_of_time_in_every_round_has_no_more_turns() -> None:
    goals, base = Goals(min_time_saved_pct=20), row(BASE, [1, 1, 1])
    for medians, given_up in (
        ([0.9, 0.9, 0.9], True),
        ([0.9, 0.9], False),
        ([0.9, 0.79, 1], False),
    ):
        one = row(INT8, medians)
        assert too_slow(goals, ratio(one, base), one) == given_up
    one = row(INT8, [0.5, 0.5, 0.5])
    assert too_slow(Goals(max_latency_ms=0.4), None, one)
    assert not too_slow(None, None, one)


costs = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(st.lists(costs, min_size=1, max_size=10))
def test_the_front_is_what_none_beats(some: list[tuple[int, int, int]]) -> None:
    rows = [
        row(replace(BASE, threads=at + 1), [ms, ms], top1=1 - lost / 10, kb=kb)
        for at, (ms, kb, lost) in enumerate(some)
    ]
    found = [some[one.variant.threads - 1] for one in front(results(*rows))]
    wanted = [
        one
        for one in some
        if not any(
            other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in some
        )
    ]
    assert found == wanted


def test_answers_are_made_of_the_figures() -> None:
    int8 = row(INT8, [0.5, 0.25], top1=0.88, kb=50, remarks=("3 sums in float32",))
    found = results(
        row(BASE, [1, 0.5]),
        int8,
        questions=[
            Question("What does int8 bring?", Place(), Place(model="int8")),
            Question("And -O4?", Place(), Place(opt_level=4)),
        ],
    )
    brought, missing = answers(found)
    assert brought.sentences == (
        "int8 takes 0.375 ms, float 0.750 ms: int8 is 2 times as fast (2 to 2 over 2 rounds).",
        "top1 is 0.88 with int8, 0.9 with float.",
        "What is deployed has 50.0 kB instead of 100.0 kB (0.50 times).",
        "The compiler says of int8: 3 sums in float32.",
    )
    assert missing.sentences == ("It cannot be told: one of both is not there.",)
    unasked = answers(results(row(BASE, [1, 1.1]), row(INT8, [1.1, 1])))
    told = {one.question: one.sentences[0] for one in unasked}
    assert "no difference is shown" in told["What does int8 bring, beside float?"]
    assert len(told) == 5  # int8, and four levels


@pytest.mark.parametrize(
    ("options", "kernels", "words"),
    [
        (CompileOptions(layout="NCHW"), [("int8", "int32", "NHWC")], ["1 of 1", "8-bit sums"]),
        (CompileOptions(1, "NCHW"), [("float32", "float32", "NHWC")], ["-O2 is the first level"]),
        (CompileOptions(layout="NHWC"), [("int8", "int32", "NHWC")], []),
        (CompileOptions(), [("int8", "int32", ""), ("float32", "float32", "")], ["in float32"]),
    ],
)
def test_the_compiler_tells_what_was_not_to_be_had(
    options: CompileOptions, kernels: list[tuple[str, str, str]], words: list[str]
) -> None:
    some = [
        Kernel(
            f"k{at}",
            1,
            "default",
            "register tile",
            workload=f"conv2d 1x8x8x4 {given}, 3x3x4x4 {given} -> 1x8x8x4 {made}, then add",
            layout=layout,
            multiply_adds=9,
            reduces=True,
        )
        for at, (given, made, layout) in enumerate(kernels)
    ]
    found = [one for one in remarks(some, options, "native") if "plain loops" not in one]
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)
