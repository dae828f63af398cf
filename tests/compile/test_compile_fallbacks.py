"""Which kernels are warned about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgetvm.compile.artifact import Kernel
from edgetvm.compile.fallbacks import schedule_warnings
from edgetvm.compile.options import CompileOptions

NAIVE = Kernel("sum", 1, "default", "parallel loops", (("far",),), multiply_adds=50, reduces=True)
GOOD = replace(NAIVE, name="conv", rule="register tile", nodes=(("near",),), multiply_adds=950)


def test_a_naive_kernel_in_a_hot_place_is_named() -> None:
    (told,) = schedule_warnings([NAIVE, GOOD], CompileOptions())
    assert told.startswith("far: no schedule rule covers it")
    assert "5%" in told


@pytest.mark.parametrize(
    "kernel",
    [
        replace(NAIVE, multiply_adds=20),
        replace(NAIVE, reduces=False),
        replace(NAIVE, schedule="tuned"),
        replace(NAIVE, rule="rows"),
    ],
)
def test_others_are_not(kernel: Kernel) -> None:
    assert schedule_warnings([kernel, GOOD], CompileOptions()) == []


@pytest.mark.parametrize(("level", "rule"), [(0, "none"), (1, "parallel loops")])
def test_a_level_without_rules_is_told_in_one_sentence(level: int, rule: str) -> None:
    kernels = [replace(NAIVE, rule=rule), replace(GOOD, rule=rule)]
    (told,) = schedule_warnings(kernels, CompileOptions(level))
    assert told.startswith("2 kernels that sum run in plain loops")
    assert f"this is -O{level}" in told
    assert "-O2" in told
    assert (
        schedule_warnings([replace(NAIVE, rule=rule, reduces=False)], CompileOptions(level)) == []
    )
