"""Windows of a measurement, and what makes one invalid: heat, clocks, or other work on the board.

A window is what ran between two looks at the board. Whether it counts is derived from the looks,
and what does not count is kept, and never averaged in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic.dataclasses import dataclass

from edgetvm.base.units import format_ms
from edgetvm.measure.conditions import Conditions
from edgetvm.measure.samples import Chunk, Samples

# Bits of a Raspberry Pi's firmware: under-voltage, capped, throttled, soft limit. The same bits 16
# places further on say that it happened since the board began.
_NOW, _SINCE = 0xF, 16
_SLOW_CLOCK = 0.95
# Shares of a window's time. Ticks of the kernel are coarse, so there are least times beside.
_WAITED = 0.02
_STOLEN, _STOLEN_NS = 0.01, 20_000_000
_OTHERS, _OTHERS_NS = 0.1, 50_000_000
# More queries than this share began later than the load generator wanted.
_LATE = 0.001


@dataclass(frozen=True)
class Window:
    """A stretch of a measurement.

    Attributes:
        count: of its samples.
        span_ns: from the beginning of its first query to the end of its last.
        on_board_ns, round_trip_ns: of the call, on the board and as the host saw it.
        before, after: the looks that enclose it.
        late: queries that the load generator began too late, without being held up by others.
        idles: the board waits between its runs, and its clocks may fall meanwhile.
    """

    count: int
    span_ns: int
    on_board_ns: int
    round_trip_ns: int
    before: Conditions
    after: Conditions
    late: int = 0
    idles: bool = False

    @property
    def wall_ns(self) -> int:
        """Between the looks."""
        return max(1, self.after.clock_ns - self.before.clock_ns)


def reasons(window: Window) -> tuple[str, ...]:
    """Why a window does not count; empty where it does."""
    found = (judge(window) for judge in _JUDGES)
    return tuple(reason for reason in found if reason is not None)


def _throttled(window: Window) -> str | None:
    before, after = window.before, window.after
    flags = (before.throttled or 0, after.throttled or 0)
    if any(one & _NOW for one in flags) or flags[1] >> _SINCE & ~(flags[0] >> _SINCE):
        return f"throttled: the firmware's flags are {flags[1]:#x} (heat, or too little power)"
    events = (after.throttle_events or 0) - (before.throttle_events or 0)
    return f"throttled: the cores were slowed down {events} times for heat" if events > 0 else None


def _slow_clock(window: Window) -> str | None:
    """The core that worked is taken to be the quickest now."""
    pairs = zip(window.after.frequencies_khz, window.after.max_frequencies_khz, strict=False)
    shares = [now / most for now, most in pairs if most > 0]
    if window.idles or not shares or max(shares) >= _SLOW_CLOCK:
        return None
    return f"slow clock: no core was above {max(shares):.0%} of its highest frequency"


def _other_governor(window: Window) -> str | None:
    before, after = window.before.governors, window.after.governors
    if before == after:
        return None
    return f"the clock governor changed from {', '.join(before)} to {', '.join(after)}"


def _waited(window: Window) -> str | None:
    before, after = window.before.waited_ns, window.after.waited_ns
    if before is None or after is None:
        return None
    share = (after - before) / window.wall_ns
    if share <= _WAITED:
        return None
    return (
        f"disturbed: the model's threads waited {share:.1%} of the time for a core "
        f"({_WAITED:.0%} is allowed)"
    )


def _stolen(window: Window) -> str | None:
    stolen_ns = window.after.stolen_cpu_ns - window.before.stolen_cpu_ns
    share = stolen_ns / window.wall_ns / max(1, len(window.after.cores))
    if share <= _STOLEN or stolen_ns <= _STOLEN_NS:
        return None
    return (
        f"disturbed: the hypervisor gave {share:.1%} of the cores' time to others "
        f"({_STOLEN:.0%} is allowed)"
    )


def _others(window: Window) -> str | None:
    busy_ns = window.after.busy_cpu_ns - window.before.busy_cpu_ns
    others_ns = busy_ns - (window.after.own_cpu_ns - window.before.own_cpu_ns)
    share = others_ns / window.wall_ns / max(1, len(window.after.cores))
    if share <= _OTHERS or others_ns <= _OTHERS_NS:
        return None
    return (
        f"disturbed: other processes took {share:.1%} of the cores' time ({_OTHERS:.0%} is allowed)"
    )


def _late(window: Window) -> str | None:
    if window.late <= _LATE * window.count:
        return None
    return f"the load generator was late with {window.late} of {window.count} queries"


_JUDGES = (_throttled, _slow_clock, _other_governor, _waited, _stolen, _others, _late)


def valid_samples(samples: Samples, windows: Sequence[Window]) -> Samples:
    """The samples of the windows that count; all where there are no windows."""
    valid = [not reasons(window) for window in windows]
    if all(valid):
        return samples
    count = sum(window.count for window, counts in zip(windows, valid, strict=True) if counts)
    ends = np.cumsum([window.count for window in windows])

    def read() -> Iterator[Chunk]:
        begin = 0
        for chunk in samples.chunks():
            of_window = np.searchsorted(ends, np.arange(begin, begin + len(chunk)), "right")
            begin += len(chunk)
            kept = chunk[np.asarray(valid)[of_window]]
            if len(kept):
                yield kept

    return Samples(count, read)


def told_invalid(windows: Sequence[Window], *, most: int = 3) -> tuple[str, ...]:
    """The windows that do not count, in words: how many, and the reasons that were given most."""
    told = [reasons(window) for window in windows]
    invalid = [one for one in told if one]
    if not invalid:
        return ()
    kinds: dict[str, str] = {}
    for one in invalid:
        for reason in one:
            kinds.setdefault(reason.split(":")[0], reason)
    lost_ms = sum(w.span_ns for w, one in zip(windows, told, strict=True) if one) / 1e6
    head = f"{len(invalid)} of {len(windows)} windows ({format_ms(lost_ms)}) are INVALID"
    return (f"{head}: {'; '.join(list(kinds.values())[:most])}",)
