"""Figures of streams in real time, computed by hand; and runs on the real board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_board import imported

from edgetvm.base.errors import BoardError, UsageError
from edgetvm.boards import load_profile
from edgetvm.farm import Board, connect
from edgetvm.measure import (
    Plan,
    RealTime,
    RealTimePlan,
    Word,
    figures_of,
    measure,
    run_in_real_time,
    summarise,
    words_heard,
)
from edgetvm.measure.measurement import from_json, to_json
from edgetvm.measure.pacing import Feed, most_streams, with_own_signal
from edgetvm.measure.real_time_figures import binomial_interval
from edgetvm.models.reference import Source
from edgetvm.package.archive import Package
from edgetvm.recipes import ModelFile, Processing, Recipe, Sample

MS = 1_000_000
NEVER = (-1, -1)


def made(*chunks: tuple[float, float], **changes: object) -> RealTime:
    """A run of one stream, 10 ms from chunk to chunk, with (begin, end) of each in milliseconds."""
    run = RealTime(
        period_ms=10.0,
        deadline_ms=10.0,
        streams=1,
        policy="queue",
        began_ns=tuple(round(began * MS) if began >= 0 else -1 for began, _ in chunks),
        ended_ns=tuple(round(ended * MS) if ended >= 0 else -1 for _, ended in chunks),
    )
    return replace(run, **changes)


def test_a_run_that_falls_behind_and_catches_up() -> None:
    """Chunks arrive at 10, 20, 30, 40, 50 ms; the second takes 25 ms, so the next two wait."""
    found = figures_of(made((10.1, 12.1), (20.1, 45.1), (45.1, 47.1), (47.1, 49.1), (50.1, 52.1)))
    assert (found.chunks, found.answered, found.dropped, found.unanswered) == (5, 5, 0, 0)
    assert found.latency is not None
    assert found.service is not None
    # Sorted latencies 2.1, 2.1, 9.1, 17.1, 25.1; services 2, 2, 2, 2, 25.
    assert found.latency.p50_ms == pytest.approx(9.1)
    assert found.latency.max_ms == pytest.approx(25.1)
    assert found.service.p50_ms == pytest.approx(2.0)
    assert found.compute_s == pytest.approx(0.033)
    assert found.signal_s == pytest.approx(0.050)
    assert found.real_time_factor == pytest.approx(33 / 50)
    # Late: 25.1 and 17.1 are over 10 ms; 9.1 is not.
    assert (found.misses, found.longest_misses, found.miss_pct) == (2, 2, 40.0)
    assert not found.keeps_up
    # The second chunk's result came when three chunks were there: 20, 30 and 40 ms.
    assert found.backlog == 3
    # From result to result: 33.0, 2.0, 2.0, 3.0: from 10 ms they lie 23, 8, 8, 7.
    assert found.jitter_ms == pytest.approx(23.0)
    # Three chunks found the board idle, each 0.1 ms after it arrived.
    assert found.wake_max_ms == pytest.approx(0.1)
    assert found.invalid == ()


def test_a_late_clock_makes_a_run_invalid_and_says_why() -> None:
    late = made(*((10.0 * at + 0.9, 10.0 * at + 1.9) for at in range(1, 6)))
    (reason,) = figures_of(late).invalid
    assert "5 of 5 chunks" in reason
    assert "more than 0.500 ms" in reason
    # One that the model itself held up says nothing against the clock.
    assert figures_of(made((10.0, 20.9), (20.9, 21.9))).invalid == ()


def test_a_state_that_is_not_carried_makes_a_run_invalid() -> None:
    run = made((10.0, 11.0), carried=False)
    assert "the state is not carried" in figures_of(run).invalid[0]
    assert figures_of(replace(run, carried=True)).invalid == ()


def test_what_is_not_answered_is_missed() -> None:
    found = figures_of(made((10.0, 11.0), NEVER, NEVER))
    assert (found.answered, found.unanswered, found.misses, found.longest_misses) == (1, 2, 2, 2)
    nothing = figures_of(made(NEVER, NEVER))
    assert nothing.real_time_factor is None
    assert nothing.invalid == ("no chunk was answered",)


def test_dropped_frames_are_not_missed_deadlines() -> None:
    run = made((10.0, 34.0), NEVER, (34.0, 39.0), (40.0, 44.0), NEVER, policy="skip")
    found = figures_of(run)
    assert (found.answered, found.dropped, found.unanswered) == (3, 1, 1)
    # 24 ms is late, 9 and 4 are not; of the four that were not dropped.
    assert (found.misses, found.miss_pct) == (1, 25.0)
    assert found.jitter_ms == pytest.approx(5.0)
    # One that was left out does not end a row of late ones.
    late = figures_of(made((10.0, 34.0), NEVER, (34.0, 58.0), NEVER, (58.0, 59.0), policy="skip"))
    assert (late.misses, late.longest_misses) == (2, 2)


def test_streams_are_spread_over_the_period() -> None:
    """Two streams: theirs arrive at 10, 15, 20 and 25 ms. Runs of misses are of one stream."""
    run = made((10.0, 21.0), (21.0, 26.0), (26.0, 31.0), (31.0, 34.0), streams=2)
    found = figures_of(run)
    # Latencies 11, 11, 11, 9.
    assert (found.misses, found.longest_misses) == (3, 2)
    assert found.latency is not None
    assert found.latency.max_ms == pytest.approx(11.0)
    # Stream 0: 21 -> 31, none from 10; stream 1: 26 -> 34, 2 ms from it.
    assert found.jitter_ms == pytest.approx(2.0)


def test_the_interval_is_clopper_and_pearson_s() -> None:
    # By hand, where it has a closed form: nothing in n trials, 1 - 0.025^(1/n).
    assert binomial_interval(0, 100) == (0.0, pytest.approx(1 - 0.025**0.01))
    assert binomial_interval(100, 100) == (pytest.approx(0.025**0.01), 1.0)
    # Table of exact limits: 10 of 20.
    assert binomial_interval(10, 20) == (
        pytest.approx(0.2720, abs=1e-4),
        pytest.approx(0.7280, abs=1e-4),
    )
    assert binomial_interval(0, 0) == (0.0, 1.0)


def test_words_are_found_and_told_to_be_over() -> None:
    """Chunks of 100 ms; words from 0.25 to 0.55 s, and from 1.0 to 1.2 s, which is not heard."""
    said = [False, False, False, True, True, True, True, False, False, False, False, False, False]
    ended_ms = [100.0 * at + 105 for at in range(13)]
    first, second = words_heard([[0.25, 0.55], [1.0, 1.2]], said, ended_ms, 100.0)
    assert first == Word(250.0, 550.0, 405.0, 805.0)
    assert second == Word(1000.0, 1200.0, None, 1205.0)
    run = made(*((100.0, 101.0),) * 2, words=(first, second))
    found = figures_of(run)
    assert (found.words, found.found) == (2, 1)
    assert found.from_start is not None
    assert found.from_end is not None
    assert found.over is not None
    assert found.from_start.p50_ms == pytest.approx(155.0)
    assert found.from_end.p50_ms == pytest.approx(-145.0)
    assert found.over.max_ms == pytest.approx(255.0)


def test_a_word_found_only_after_the_next_began_is_not_found() -> None:
    said = [False, False, False, True]
    first, second = words_heard([[0.0, 0.1], [0.3, 0.4]], said, [110.0, 210.0, 310.0, 410.0], 100.0)
    assert first.found_ms is None
    assert second.found_ms == 410.0


@pytest.mark.board
def test_a_stream_in_real_time_is_measured(
    board: Board, stateful_package: Package, stateful_onnx: Path
) -> None:
    plan = Plan(threads=1, real_time=RealTimePlan(streams=3, seconds=0.3, rate_hz=100.0))
    with connect(board) as session:
        found = measure(
            session,
            stateful_package,
            load_profile("local"),
            source=Source.of(imported(stateful_onnx, {"sum": "total"})),
            plan=plan,
        )
    run = found.real_time
    assert run is not None
    assert (found.scenario, run.streams, len(run.began_ns)) == ("real-time", 3, 90)
    assert (found.chunk_ms, found.deadline_ms) == (10.0, 10.0)
    assert run.carried is True
    figures = figures_of(run)
    assert figures.answered == len(found.samples_ns) == 90
    assert summarise(found).deadline_misses == figures.misses
    # Nothing begins before it is complete.
    arrivals_ms = [10.0 * (at // 3 + 1) + 10.0 * (at % 3) / 3 for at in range(90)]
    assert all(
        began / 1e6 >= at - 1e-3 for began, at in zip(run.began_ns, arrivals_ms, strict=True)
    )
    assert from_json(to_json(found), "here") == found


@pytest.mark.board
def test_a_board_tells_how_many_streams_it_holds(board: Board, stateful_package: Package) -> None:
    chunks = {"chunk": np.zeros((4, 1, 4), np.float32)}
    plan = RealTimePlan(streams=None)
    with connect(board) as session:
        session.open(stateful_package.data, 1)
        # A microsecond from chunk to chunk, and the same to answer it: no board holds one.
        with pytest.raises(BoardError, match="does not hold one stream"):
            most_streams(session, Feed(chunks, 1e-3, 1e-3), plan)


@pytest.mark.board
def test_nothing_says_how_often_a_bare_model_runs(board: Board, tiny_package: Package) -> None:
    with connect(board) as session:
        session.open(tiny_package.data, 1)
        with pytest.raises(UsageError, match=r"nothing says how often it runs.*--frame-rate"):
            run_in_real_time(session, tiny_package, RealTimePlan())


@pytest.mark.board
def test_pictures_with_boxes_are_frames_without_words(board: Board, tiny_package: Package) -> None:
    """A frame each for two samples of a recipe, whose labels are lists, too."""
    recipe = Recipe(
        "tiny",
        "boxes",
        "tiny",
        "MIT",
        ModelFile(path=Path("tiny.onnx")),
        data=Processing("rendered-page", {"lines": ["a"]}),
        postprocess=Processing("text-boxes"),
    )
    arrays = dict(tiny_package.sample_inputs)
    samples = [Sample(name, arrays, [[0.0, 0.0, 1.0, 1.0]]) for name in ("a", "b")]
    plan = RealTimePlan(seconds=0.2, rate_hz=50.0, policy="skip")
    with connect(board) as session:
        session.open(tiny_package.data, 1)
        run, window = run_in_real_time(session, tiny_package, plan, recipe=recipe, samples=samples)
    assert window.idles
    assert window.count == len(run.service_ns)
    assert 0 < window.span_ns <= window.wall_ns
    assert (run.words, len(run.began_ns), run.period_ms, run.deadline_ms) == ((), 10, 20.0, 20.0)


def test_a_signal_of_ones_own_needs_a_recipe_and_is_one_thing() -> None:
    with pytest.raises(UsageError, match="--video: a model file alone does not tell"):
        with_own_signal(None, RealTimePlan(video=Path("clip.mp4")))
    assert with_own_signal(None, RealTimePlan()) is None
    with pytest.raises(UsageError, match="--audio, --video: a model is fed with one of them"):
        RealTimePlan(audio="microphone", video=Path("clip.mp4"))
