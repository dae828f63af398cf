"""A report as large as they come: 10 real models on 4 boards, with all that a page may show.

The boards are one: edgetvm's C program on this machine, under four names, measured anew for each.
What this machine does not show, heat and clocks of four cores, is written into the looks at it, and
a history of 20 measurements, a tuning curve and the boards' health stand beside each, so that the
page is no smaller than that of real boards. Its times mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.measuring.busy import c_board
from edgetvm.farm import Board
from edgetvm.measure import Measurement, Plan, summarise
from edgetvm.measure.conditions import Conditions
from edgetvm.report.background import Background, BoardHealth, Past, TuningCurve
from edgetvm.workflow import bench_each

MODELS = (
    "tiny/anomaly-detection",
    "tiny/image-classification",
    "tiny/image-classification-int8",
    "tiny/keyword-spotting",
    "tiny/keyword-spotting-int8",
    "tiny/visual-wake-words",
    "tiny/visual-wake-words-int8",
    "speech/silero-vad",
    "vision/ppocr-cls",
    "vision/ppocr-det",
)
_BOARDS = ("rpi4-kitchen", "rpi5-lab", "orange-pi", "intel-nuc")
_CORES = 4
_PAST = 20


def full_report(models: Sequence[str] = MODELS) -> tuple[list[Measurement], Background]:
    """Measure them, a thousand runs and two seconds at most for each."""
    with c_board() as board:
        boards = [Board(name, board.profile, board.tracker, board.key) for name in _BOARDS]
        benched = bench_each(models, boards, Plan(runs=1000, max_s=2.0, allow_mismatch=True))
    for name, error in benched.failures.items():
        print(f"not measured: {name}: {error}", flush=True)
    measured = [_as_on_a_board(one) for one in benched.measurements]
    return measured, _background(measured)


def _as_on_a_board(measurement: Measurement) -> Measurement:
    windows = tuple(
        replace(one, before=_look(one.before, at), after=_look(one.after, at + 1))
        for at, one in enumerate(measurement.windows)
    )
    return replace(measurement, windows=windows)


def _look(look: Conditions, at: int) -> Conditions:
    clocks = tuple(1_800_000 - 7_000 * (at * core % 5) for core in range(_CORES))
    return replace(
        look,
        temperature_c=48.0 + 1.5 * at,
        frequencies_khz=clocks,
        max_frequencies_khz=(1_800_000,) * _CORES,
    )


def _background(measured: Sequence[Measurement]) -> Background:
    curves = {
        one.model: TuningCurve(
            one.model, "rpi4", "3", 9.0, 4.0, 200, tuple((at / 9, 9 - at / 40) for at in range(200))
        )
        for one in measured
    }
    return Background(
        tuple(past for one in measured for past in _history(one)),
        tuple(
            BoardHealth(name, "good", "", 12.5, 51.0, ("released", "released", "expired"))
            for name in _BOARDS
        ),
        tuple(curves.values()),
    )


def _history(measurement: Measurement) -> list[Past]:
    summary, place = summarise(measurement), measurement.environment
    return [
        Past(
            f"{measurement.id}-{day}",
            f"2026-11-{day + 1:02}T12:{day:02}:00Z",
            measurement.model,
            place.device,
            measurement.scenario,
            place.threads,
            str(measurement.options),
            summary.p50_ms * (1 + day % 7 / 90),
            summary.p90_ms * (1 + day % 5 / 70),
            day % 9 > 0,
        )
        for day in range(_PAST)
    ]
