"""A fit finds the figures by which times were made up."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from edgetvm.base.errors import StorageError, UsageError
from edgetvm.boards.core import CoreModel, MissCost
from edgetvm.estimate.calibration import (
    Point,
    calibrate,
    load_calibration,
    save_calibration,
)
from edgetvm.estimate.memory import cycles_with_memory
from edgetvm.estimate.trace import Misses

_CORE = CoreModel(
    emulated="max", l1d_ways=2, l2_ways=16, misses=(MissCost(5, 1), MissCost(200, 30)), error=2
)
_TRUE = dataclasses.replace(_CORE, misses=(MissCost(10, 2), MissCost(90, 15)))


def points(count: int, clock_mhz: float, noise: float = 0.0) -> list[Point]:
    """Kernels that compute, and by turns wait for one kind of lines about as long or longer."""
    draw = random.Random(7)
    costs = [cost for one in _TRUE.misses for cost in (one.random, one.foreseen)]
    found = []
    for at in range(count):
        cycles = 10 ** draw.uniform(4, 7)
        counts = [0] * 4
        if at % 5 < 4:
            counts[at % 5] = int(cycles * draw.uniform(0.5, 4) / costs[at % 5])
        misses = (Misses(*counts[:2]), Misses(*counts[2:]))
        ms = cycles_with_memory(cycles, misses, _TRUE) / clock_mhz / 1e3
        found.append(Point(f"k{at}", cycles, misses, ms * (1 + noise * draw.uniform(-1, 1))))
    return found


def test_clock_and_costs_are_found() -> None:
    found = calibrate(points(24, 1200), _CORE, 1500, "b", "p")
    assert found.clock_mhz == pytest.approx(1200, rel=0.05)
    for one, true in zip(found.misses, _TRUE.misses, strict=True):
        assert one.random == pytest.approx(true.random, rel=0.4)
        assert one.foreseen == pytest.approx(true.foreseen, rel=0.4)
    assert found.error < 1.05 < found.error_before


def test_one_kernel_that_is_mispriced_moves_little() -> None:
    good = points(24, 1200, 0.05)
    bad = [*good, Point("odd", 1e6, good[0].misses, 1e6 / 1200 / 1e3 * 3)]
    found = calibrate(bad, _CORE, 1500, "b", "p")
    assert found.clock_mhz == pytest.approx(1200, rel=0.08)


def test_too_few_kernels_are_refused() -> None:
    with pytest.raises(UsageError, match="a fit needs"):
        calibrate(points(3, 1200), _CORE, 1500, "b", "p")


def test_what_is_kept_is_found_again_and_damage_is_told() -> None:
    assert load_calibration("p") is None
    found = calibrate(points(12, 1200), _CORE, 1500, "b", "p")
    path = save_calibration(found)
    assert load_calibration("p") == found
    assert "Calibrated on b" in found.applied(_CORE).source
    Path(path).write_text("{}")
    with pytest.raises(StorageError, match="calibrate again"):
        load_calibration("p")
