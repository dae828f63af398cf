"""Times of kernels beside that of a run."""

from __future__ import annotations

from typing import cast

import pytest

from edgetvm.measure import time_kernels
from edgetvm.package.engines import TimedCall
from edgetvm.package.executor import Executor

KERNELS = ("a", "b", "c", "b")


class Disturbed:
    """Each run of 1000 us has one call that takes 940 us and others that take 20 us."""

    threads = 2

    def __init__(self) -> None:
        self.run = 0

    def run_ns(self) -> int:
        self.run += 1
        return 1_000_000

    def timed_calls(self) -> list[TimedCall]:
        self.run += 1
        slow = self.run % len(KERNELS)
        return [
            TimedCall(name, 940e3 if index == slow else 20e3) for index, name in enumerate(KERNELS)
        ]


def test_kernels_add_up_to_a_run_though_each_is_slow_now_and_then() -> None:
    found = time_kernels(cast(Executor, Disturbed()), runs=32)
    assert found.run_us == 1000
    assert found.sum_us == pytest.approx(1000)
    calls = {one.name: (one.calls, one.us) for one in found.functions}
    assert calls["b"] == (2, pytest.approx(2 * calls["a"][1]))


class WithSlowRuns(Disturbed):
    """Every fifth run takes a hundred times as long, in each of its calls."""

    def run_ns(self) -> int:
        return super().run_ns() * (100 if self.run % 5 == 0 else 1)

    def timed_calls(self) -> list[TimedCall]:
        calls = super().timed_calls()
        return [TimedCall(one.name, 100 * one.ns) for one in calls] if self.run % 5 == 0 else calls


def test_slow_runs_do_not_count() -> None:
    found = time_kernels(cast(Executor, WithSlowRuns()), runs=32)
    assert found.run_us == 1000
    assert found.sum_us == pytest.approx(1000)
