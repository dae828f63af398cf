"""A run in real time as drawings: chunks with their deadlines, and their latencies."""

from __future__ import annotations

import numpy as np

from edgetvm.base.units import format_ms
from edgetvm.measure.real_time import Chunks, RealTime
from edgetvm.report.charts import ChunkTimes, Course, over_time, stream_timeline

_MOST_CHUNKS = 24


def latencies(run: RealTime, most_marks: int) -> str:
    """Latency of each answered chunk, waiting included, beside the deadline; empty without any."""
    chunks = Chunks(run)
    ran = chunks.ran.ravel()
    if not ran.any():
        return ""
    arrived, waited = chunks.arrival.ravel()[ran], chunks.latency.ravel()[ran]
    course = Course(
        (arrived / 1e3).tolist(), waited.tolist(), "seconds of signal when it arrived", "s"
    )
    ends = f"from {format_ms(waited.min())} to {format_ms(waited.max())}"
    title = f"Latencies of chunks in the order they came, {ends}"
    return over_time(course, run.deadline_ms, title, most_marks)


def worst_chunks(run: RealTime) -> str:
    """The chunks about the one that came last against its deadline, on a line of time."""
    chunks = Chunks(run)
    over = np.where(chunks.ran, chunks.latency, np.inf if run.policy == "queue" else 0.0)
    worst = int(np.argmax(over.max(axis=1)))
    rows = max(1, _MOST_CHUNKS // run.streams)
    begin = max(0, min(worst - rows // 2, len(over) - rows))
    found = [
        ChunkTimes(
            stream,
            float(chunks.arrival[at, stream]),
            float(chunks.arrival[at, stream]) + run.deadline_ms,
            float(chunks.began[at, stream]) if chunks.ran[at, stream] else None,
            float(chunks.ended[at, stream]) if chunks.ran[at, stream] else None,
        )
        for at in range(begin, min(begin + rows, len(over)))
        for stream in range(run.streams)
    ]
    late, lost = sum(one.is_late for one in found), sum(one.ended is None for one in found)
    title = f"{len(found)} chunks about the latest: {late} over the deadline, {lost} without result"
    return stream_timeline(found, title)
