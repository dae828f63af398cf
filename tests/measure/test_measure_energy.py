"""Energy of a run, by hand: from counters of the board, or from a meter beside it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_conditions import S, window

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import make
from real_board import within

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.meter import Meter, read_watts
from edgetvm.measure.energy import energy_mj
from edgetvm.measure.metering import PowerReading, metered

READINGS = (PowerReading(0.0, 3.0), PowerReading(0.5, 5.0))


def test_a_meter_beside_the_board_tells_what_valid_windows_took() -> None:
    # 4 W for two seconds are 8 J: 250 runs took 32 mJ each.
    found = replace(make(), windows=(window(200), window(50)), power=READINGS)
    assert energy_mj(found) == pytest.approx(32.0)
    hot = window(1000, throttled=0x4)
    assert energy_mj(replace(found, windows=(*found.windows, hot))) == pytest.approx(32.0)
    assert energy_mj(replace(found, power=())) is None
    assert energy_mj(replace(found, scenario="server")) is None


def test_a_board_s_own_counter_comes_first() -> None:
    counted = window(100, before={"energy_uj": {"rapl": 0}}, energy_uj={"rapl": 2_000_000})
    found = replace(make(), windows=(counted,), power=READINGS)
    assert energy_mj(found) == pytest.approx(20.0)
    assert counted.span_ns == S


def board(command: str) -> Board:
    """One with a meter."""
    return replace(LOCAL, name="lab-1", meter=Meter(command))


def test_a_meter_is_read_while_work_is_done() -> None:
    with metered(board("echo 2.5 W")) as readings:
        assert within(5, lambda: readings)
    assert {one.watts for one in readings} == {2.5}
    with metered(LOCAL) as none:
        pass
    assert none == []


def test_a_meter_that_fails_has_no_readings() -> None:
    told: list[StepEvent] = []
    with listening(told.append), metered(board("false")) as readings:
        assert within(5, lambda: not readings)
    assert readings == []
    assert "lab-1: no energy is told" in told[-1].detail


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo no network >&2; exit 7'", "ends with 7: no network"),
        ("echo many", "prints no watts: 'many'"),
        ("echo nan", "prints no watts"),
        ("echo -3", "prints no watts"),
        ("true", "prints no watts: ''"),
        ("/no/such/program", "cannot be run"),
        ("'", "cannot be run"),
    ],
)
def test_why_a_meter_tells_nothing(command: str, words: str) -> None:
    with pytest.raises(BoardError) as caught:
        read_watts(Meter(command))
    assert words in str(caught.value)
