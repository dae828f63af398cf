"""Rooflines: the slower of multiply-adds and memory, and where there is no bound at all."""

from __future__ import annotations

import pytest

from edgetvm.boards import load_profile
from edgetvm.boards.roofline import Bound, Roofline, roofline_of, share_of

# 100 multiply-adds of two operations in a nanosecond; 10 bytes in a nanosecond.
_ROOFLINE = Roofline(200.0, 10.0, cache_bytes=1000)


@pytest.mark.parametrize(
    ("multiply_adds", "moved_bytes", "in_floats", "expected"),
    [
        (100_000_000, 1_000_000, True, Bound(1.0, "cores")),
        (100_000_000, 20_000_000, True, Bound(2.0, "memory")),
        (0, 20_000_000, True, Bound(2.0, "memory")),
        # What the caches hold need not come from memory.
        (100, 1000, True, Bound(1e-6, "cores")),
        (0, 1000, True, None),
        # How many 8-bit numbers a core multiplies, no profile tells.
        (100_000_000, 20_000_000, False, None),
        (0, 20_000_000, False, Bound(2.0, "memory")),
    ],
)
def test_the_slower_of_the_two_is_the_bound(
    multiply_adds: int, moved_bytes: int, in_floats: bool, expected: Bound | None
) -> None:
    found = _ROOFLINE.bound(multiply_adds, moved_bytes, in_floats)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.ms, found.by) == (pytest.approx(expected.ms), expected.by)


def test_where_the_memory_is_not_known_only_the_cores_bound() -> None:
    assert Roofline(200.0).bound(0, 1 << 30) is None
    assert Roofline(0.0).bound(100, 1 << 30) is None


def test_a_share_is_never_above_all_of_it() -> None:
    bound = Bound(1.0, "cores")
    assert share_of(bound, 4.0) == 0.25
    assert share_of(bound, 0.9) is None
    assert share_of(bound, 0.0) is None
    assert share_of(None, 1.0) is None


def test_a_raspberry_pi_4_by_its_data_sheet_and_by_a_measurement() -> None:
    profile = load_profile("rpi4")
    # Four cores, 1.5 GHz, four multiply-adds a cycle; 32 bits of LPDDR4-3200.
    assert roofline_of(profile) == Roofline(48.0, 12.8, 1 << 20)
    assert roofline_of(profile, threads=1).gflops == 12.0
    assert roofline_of(profile, threads=64).gflops == 48.0
    measured = roofline_of(profile, memory_gbs=5.5)
    assert (measured.memory_gbs, measured.is_measured) == (5.5, True)
