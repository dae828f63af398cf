"""Runs in real time on a board: one, or several to find how many streams it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgetvm.base.errors import BoardError, UsageError
from edgetvm.base.steps import step
from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.farm.session import BoardSession
from edgetvm.farm.session_records import Pace
from edgetvm.measure.conditions import Conditions, conditions_of
from edgetvm.measure.real_time import RealTime, Word, words_heard
from edgetvm.measure.real_time_figures import RealTimeFigures, figures_of
from edgetvm.measure.windows import Window
from edgetvm.models.correctness import worst_error
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package
from edgetvm.recipes import (
    Recipe,
    Sample,
    frame_rate_hz,
    interpret,
    prepare,
    with_audio,
    with_video,
)

_LEAST_S = 10.0
# What is still waiting when the last chunk has arrived may take so much longer.
_GRACE_S = 1.0
# Outputs are compared with those of a run without a clock, and must be sent for it.
_MOST_KEPT_BYTES = 64 << 20
_SAME = 1e-5
_TRIAL_S = 2.0
_MOST_STREAMS = 65536
_ATTEMPTS = 3


@dataclass(frozen=True)
class RealTimePlan:
    """How streams run in real time.

    Attributes:
        streams: at once; None finds the most that the board holds.
        seconds: of signal; without it all of it once, and at least ten.
        policy: `queue` answers every chunk; `skip` leaves out one that could not begin before the
            next of its stream arrived, as cameras do.
        rate_hz: chunks in a second, for a recipe without `stream`.
        audio: a WAV file in place of the recipe's data; `microphone` records on the board first,
            `seconds` or ten.
        video: a video, or a folder of pictures, in place of the recipe's data; of a video the rate
            is its own, if none is given.
    """

    streams: int | None = 1
    seconds: float | None = None
    policy: Literal["queue", "skip"] = "queue"
    rate_hz: float | None = None
    audio: Path | Literal["microphone"] | None = None
    video: Path | None = None

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            UsageError: both a recording and a video.
        """
        if self.audio is not None and self.video is not None:
            raise UsageError("a model is fed with one of them", where="--audio, --video")


@dataclass(frozen=True)
class Feed:
    """What every stream is fed.

    Attributes:
        chunks: `[chunks, *shape]` for each input that is not a state.
        period_ms: from one to the next.
        deadline_ms: for its result.
    """

    chunks: Arrays
    period_ms: float
    deadline_ms: float

    @property
    def length(self) -> int:
        """How many chunks there are; they come again after the last."""
        return len(next(iter(self.chunks.values())))


def with_own_signal(recipe: Recipe | None, plan: RealTimePlan | None) -> Recipe | None:
    """The recipe with the plan's recording or video as its data, where it has one.

    Raises:
        UsageError: there is no recipe, which would tell how the model takes it.
        see `edgetvm.recipes.with_audio` and `with_video` too.
    """
    if plan is None or (plan.video is None and plan.audio is None):
        return recipe
    if recipe is None:
        raise UsageError(
            "a model file alone does not tell how it takes a signal or a picture",
            where="--audio" if plan.video is None else "--video",
            mend="write a recipe for it: edgetvm recipes new",
        )
    if plan.video is not None:
        return with_video(recipe, plan.video)
    return with_audio(recipe, plan.audio) if isinstance(plan.audio, Path) else recipe


def period_ms_of(recipe: Recipe | None, plan: RealTimePlan, name: str) -> float:
    """From chunk to chunk.

    Raises:
        UsageError: nothing says how often chunks come; `name` is the model's.
    """
    if plan.rate_hz is not None:
        return 1000 / plan.rate_hz
    if plan.video is not None and not plan.video.is_dir():
        return 1000 / frame_rate_hz(plan.video)
    if recipe is not None and recipe.stream is not None:
        return recipe.stream.chunk_ms
    raise UsageError(
        "nothing says how often it runs",
        where=name,
        mend="give frames in a second: --frame-rate 30, or a recipe with `stream`",
    )


def feed_of(
    package: Package, recipe: Recipe | None, samples: Sequence[Sample], plan: RealTimePlan
) -> Feed:
    """The chunks of a recipe's first sample, its samples one a chunk, or the package's own sample.

    Raises:
        UsageError: nothing says how often chunks come.
    """
    signature = package.manifest.signature
    stream = recipe.stream if recipe is not None else None
    period_ms = period_ms_of(recipe, plan, package.manifest.name)
    if recipe is not None and samples:
        prepared = [prepare(recipe, one) for one in (samples[:1] if stream else samples)]
    else:
        prepared = [package.sample_inputs]
    if stream is None:
        states = signature.initial_states()
        chunks = {
            name: np.stack([one[name] for one in prepared])
            for name in prepared[0]
            if name not in states
        }
    else:
        chunks = dict(prepared[0])
    deadline_ms = recipe.deadline_ms if recipe is not None else None
    return Feed(chunks, period_ms, deadline_ms or period_ms)


def run_in_real_time(
    session: BoardSession,
    package: Package,
    plan: RealTimePlan,
    *,
    recipe: Recipe | None = None,
    samples: Sequence[Sample] = (),
) -> tuple[RealTime, Window]:
    """Feed an open package chunk by chunk at their own rate, by an absolute clock on the board.

    Args:
        session: with the package open.
        plan: without a number of streams, the most that the board holds are found first, in short
            runs; where it does not hold as many in the long one, nine tenths of them are tried.
        recipe, samples: what it is fed; see `feed_of`.

    Returns:
        what became of every chunk, and the looks at the board before and after.

    Raises:
        UsageError: nothing says how often chunks come.
        BoardError: the board failed, or does not even hold one stream.
    """
    feed = feed_of(package, recipe, samples, plan)
    streams = plan.streams or most_streams(session, feed, plan)
    run, window, outputs = _told_run(session, feed, plan, streams)
    # Two seconds promise more than a longer run holds.
    attempts = 0 if plan.streams else _ATTEMPTS
    while attempts and not _is_held(figures := figures_of(run)):
        attempts -= 1
        if not figures.keeps_up or figures.dropped:
            streams = max(1, streams * 9 // 10)
        run, window, outputs = _told_run(session, feed, plan, streams)
    if recipe is not None and samples and run.carried:
        run = replace(run, words=_words(recipe, samples[0], run, feed, outputs))
    return run, window


def _told_run(
    session: BoardSession, feed: Feed, plan: RealTimePlan, streams: int
) -> tuple[RealTime, Window, Arrays]:
    count = _count(feed, plan.seconds)
    title = f"{plural(streams, 'stream')} in real time on {session.board.name}"
    with step(f"{title}, {count * feed.period_ms / 1000:.0f} s") as this:
        before = conditions_of(session.conditions())
        run, outputs = _run(session, feed, plan, streams, count)
        window = _window(run, before, conditions_of(session.conditions()))
        this.detail = _told(figures_of(run))
    return run, window, outputs


def _window(run: RealTime, before: Conditions, after: Conditions) -> Window:
    count = len(run.service_ns)
    span_ns = max(run.ended_ns) - min((one for one in run.began_ns if one >= 0), default=0)
    # What the call took beside its chunks is neither the board's nor the wire's alone.
    return Window(count, span_ns, 0, 0, before, after, idles=True)


def _is_held(figures: RealTimeFigures) -> bool:
    return figures.keeps_up and not figures.dropped and not figures.invalid


def most_streams(session: BoardSession, feed: Feed, plan: RealTimePlan) -> int:
    """The most streams of which every chunk is answered in time, in runs of two seconds.

    Found by halving between what is held and what is not: first as many as the median service time
    allows. A run whose clock was late is made again.

    Raises:
        BoardError: it does not hold one.
    """
    with step(f"how many streams {session.board.name} holds") as this:
        service_ns = session.stream({name: array[:8] for name, array in feed.chunks.items()})[0]
        fit = feed.period_ms * 1e6 / float(np.median(service_ns))
        held, over = 0, _MOST_STREAMS + 1
        trial = min(max(1, int(fit)), _MOST_STREAMS)
        while over - held > max(1, held // 100):
            if _holds(session, feed, plan, trial):
                held, trial = trial, min((trial + over + 1) // 2, 2 * trial, _MOST_STREAMS)
            else:
                over, trial = trial, max((held + trial) // 2, 1)
            this.detail = f"between {held} and {over - 1}"
            if held == _MOST_STREAMS or over == 1:
                break
        this.detail = f"{held}"
    if held == 0:
        raise BoardError(
            "it does not hold one stream of this model in time",
            where=f"board {session.board.name}",
            mend="see by how much it is late: --streams 1",
        )
    return held


def _holds(session: BoardSession, feed: Feed, plan: RealTimePlan, streams: int) -> bool:
    for _ in range(_ATTEMPTS):
        run, _ = _run(session, feed, plan, streams, _count(feed, _TRIAL_S), keep=0)
        figures = figures_of(run)
        if figures.keeps_up and not figures.dropped:
            return True
        if not figures.invalid:
            return False
    return False


def _count(feed: Feed, seconds: float | None) -> int:
    if seconds is None:
        return max(feed.length, math.ceil(1000 * _LEAST_S / feed.period_ms))
    return max(1, math.ceil(1000 * seconds / feed.period_ms))


def _run(
    session: BoardSession,
    feed: Feed,
    plan: RealTimePlan,
    streams: int,
    count: int,
    keep: int | None = None,
) -> tuple[RealTime, Arrays]:
    """One run, and what it answered to the first chunks of the first stream."""
    offline: Arrays = {}
    if keep is None:
        offline = session.stream(feed.chunks)[1]
        row_bytes = sum(array[:1].nbytes for array in offline.values())
        most = _MOST_KEPT_BYTES // max(1, streams * row_bytes)
        keep = min(count, feed.length, most)
    pace = Pace(
        period_ns=round(feed.period_ms * 1e6),
        streams=streams,
        count=count,
        keep=keep,
        skip=plan.policy == "skip",
        # The last stream's chunks arrive almost a period after the first's.
        max_s=(count + 1 - 1 / streams) * feed.period_ms / 1000 + _GRACE_S,
    )
    began_ns, ended_ns, outputs = session.pace(feed.chunks, pace)
    whole = keep > 0 and bool((began_ns[:keep] >= 0).all())
    run = RealTime(
        period_ms=feed.period_ms,
        deadline_ms=feed.deadline_ms,
        streams=streams,
        policy=plan.policy,
        began_ns=tuple(began_ns.ravel().tolist()),
        ended_ns=tuple(ended_ns.ravel().tolist()),
        carried=_same(outputs, offline, keep) if whole else None,
    )
    return run, {name: array[0] for name, array in outputs.items()}


def _same(outputs: Arrays, offline: Arrays, keep: int) -> bool:
    """Whether every stream answered as one run without a clock."""
    expected = {name: array[:keep] for name, array in offline.items()}
    streams = len(next(iter(outputs.values())))
    return all(
        worst_error(
            {name: array[index] for name, array in outputs.items()}, expected
        ).max_relative_error
        <= _SAME
        for index in range(streams)
    )


def _words(
    recipe: Recipe, sample: Sample, run: RealTime, feed: Feed, outputs: Arrays
) -> tuple[Word, ...]:
    """Of the first stream's first pass through a signal whose label tells where words are."""
    if recipe.stream is None or recipe.postprocess is None or not isinstance(sample.label, list):
        return ()
    said = interpret(recipe, outputs, sample).get("speech")
    if said is None or len(said) != feed.length:
        return ()
    ended_ms = [one / 1e6 for one in run.ended_ns[:: run.streams][: len(said)]]
    return words_heard(sample.label, said, ended_ms, feed.period_ms)


def _told(figures: RealTimeFigures) -> str:
    if figures.invalid:
        return f"INVALID: {figures.invalid[0]}"
    p99 = format_ms(figures.latency.p99_ms) if figures.latency else "no answer"
    return f"p99 {p99}, {plural(figures.misses, 'deadline')} missed"
