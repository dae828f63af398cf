"""Prices of instructions whose cost is known from Arm's guides, and tables counted by hand."""

from __future__ import annotations

import pytest

from edgetvm.boards import load_profile
from edgetvm.estimate.estimating import core_of
from edgetvm.estimate.pricing import cycles_of
from edgetvm.estimate.spills import spilled_share
from edgetvm.estimate.tables import table_cycles_of

_COUNT = 200
_INDEPENDENT = [f"fmla\tv{at % 16}.4s, v30.4s, v31.4s" for at in range(_COUNT)]
_CHAIN = ["fmla\tv0.4s, v30.4s, v31.4s"] * _COUNT


def rate(window: list[str], profile: str) -> float:
    core = core_of(load_profile(profile))
    (cycles,) = (
        cycles_of([window], core, "aarch64") if core.llvm else table_cycles_of([window], core.table)
    )
    return cycles / len(window)


@pytest.mark.parametrize("name", ["rpi4", "rpi5", "jetson-nano", "orion-o6", "beagleplay"])
def test_independent_multiply_adds_are_bound_by_what_the_profile_says(name: str) -> None:
    profile = load_profile(name)
    least = profile.vector_lanes / profile.multiply_adds
    assert rate(_INDEPENDENT, name) == pytest.approx(least, rel=0.15)


@pytest.mark.parametrize("profile", ["rpi4", "rpi5", "beagleplay"])
def test_multiply_adds_that_wait_for_one_another_take_longer(profile: str) -> None:
    assert rate(_CHAIN, profile) > 2 * rate(_INDEPENDENT, profile)


def test_a_call_costs_no_more_than_a_branch() -> None:
    assert rate(["bl\t#4", *_INDEPENDENT], "rpi4") == pytest.approx(
        rate(["b\t#4", *_INDEPENDENT], "rpi4"), rel=0.02
    )


@pytest.mark.parametrize(
    ("window", "cycles"),
    [
        # Two a cycle: the last issues in cycle 1, and its result is there in 2.
        (["add\tx0, x9, #1", "add\tx1, x9, #1", "add\tx2, x9, #1", "add\tx3, x9, #1"], 2),
        # Each waits for the one before.
        (["add\tx0, x0, #1"] * 4, 4),
        # A load of a whole vector takes the load pipe twice: 0, 2, 4, and 5 cycles more.
        ([f"ldr\tq{at}, [x0]" for at in range(3)], 9),
        # A multiply-add that is added to again waits 4 of its 8 cycles.
        (["fmla\tv0.4s, v1.4s, v2.4s"] * 3, 16),
        # One that is multiplied waits for all of them.
        (["fmla\tv0.4s, v1.4s, v2.4s", "fmla\tv3.4s, v0.4s, v2.4s"], 16),
        # A comparison and the branch on it.
        (["cmp\tx0, #1", "b.ne\t#-8"], 2),
        # The address that a load moves on is there in the next cycle but for the load's latency.
        (["ldr\tx1, [x0], #8", "add\tx2, x1, #1"], 4),
    ],
)
def test_the_table_of_the_a53_counts_as_a_person_does(window: list[str], cycles: int) -> None:
    assert table_cycles_of([window], "cortex-a53") == [cycles]


@pytest.mark.parametrize(
    ("window", "cycles"),
    [
        # Four are taken up a cycle, and three integer units take them: 0, 0, 0, 1, 1, 1.
        ([f"add\tx{at}, x9, #1" for at in range(6)], 2),
        # What waits for a load does not hold up what comes after it: 0 to 4, and 4 to 5.
        (["ldr\tx0, [x9]", "add\tx1, x0, #1", "add\tx2, x9, #1", "add\tx3, x2, #1"], 5),
        # Two loads of vectors a cycle: 0, 0, 1, and 5 cycles more.
        ([f"ldr\tq{at}, [x0]" for at in range(3)], 6),
        # The guide's 4(2): one that is added to again waits 2 of its 4 cycles; 0, 2, 4.
        (["fmla\tv0.4s, v1.4s, v2.4s"] * 3, 8),
        # One that is multiplied waits for all of them.
        (["fmla\tv0.4s, v1.4s, v2.4s", "fmla\tv3.4s, v0.4s, v2.4s"], 8),
        # Products of bytes go to one of the two vector units: 0, 1, 2.
        ([f"smull\tv{at}.8h, v9.8b, v8.8b" for at in range(3)], 6),
        # The store of a whole vector takes two of the load units' slots: 0, 1, and 2 cycles more.
        (["str\tq0, [x0]", "str\tq1, [x1]"], 3),
        # An address that moves on is there in the next cycle.
        (["ldr\tq0, [x0], #16", "ldr\tq1, [x0], #16"], 6),
    ],
)
def test_the_table_of_the_a76_counts_as_a_person_does(window: list[str], cycles: int) -> None:
    assert table_cycles_of([window], "cortex-a76") == [cycles]


def test_a_core_that_reorders_has_only_so_many_instructions_in_hand() -> None:
    """Four divisions that wait for one another take 80 cycles. Meanwhile 124 additions are done;
    of 256, three a cycle, the others begin only when the last division is."""
    waits = ["sdiv\tx0, x1, x2", *["sdiv\tx0, x0, x2"] * 3]
    others = [f"add\tx{at % 8 + 8}, x4, x5" for at in range(256)]
    windows = [[*waits, *others[:count]] for count in (124, 256)]
    assert table_cycles_of(windows, "cortex-a76") == [80, pytest.approx(80 + 132 / 3, abs=2)]


@pytest.mark.parametrize(
    ("architecture", "window", "share"),
    [
        ("aarch64", ["str\tq3, [sp, #32]", "ldr\tq3, [sp, #32]"], 1 / 2),
        ("aarch64", ["stp\tq3, q4, [sp]", "ldr\tq3, [sp]", "ldr\tq4, [sp, #16]"], 2 / 3),
        ("aarch64", ["str\tx3, [sp, #32]", "ldr\tx3, [sp, #32]"], 0),
        ("aarch64", ["str\tq3, [x1, #32]", "ldr\tq3, [x1, #32]"], 0),
        # Stored once and loaded again and again: a border that was staged.
        ("aarch64", ["str\tq3, [sp, #32]", *["ldr\tq3, [sp, #32]"] * 3], 0),
        # Another place.
        ("aarch64", ["str\tq3, [sp, #32]", "ldr\tq3, [sp, #48]"], 0),
        ("x86_64", ["vmovups\t%ymm3, 64(%rsp)", "vaddps\t64(%rsp), %ymm1, %ymm3"], 1 / 2),
        ("x86_64", ["vmovups\t%ymm3, 64(%rsp)", "vmovups\t64(%rsp), %ymm3"], 1 / 2),
        ("x86_64", ["vmovaps\t%ymm3, (%rsp)", "vmovaps\t(%rsp), %ymm3"], 1 / 2),
        ("x86_64", ["vmovups\t%ymm3, 64(%rdi)", "vmovups\t64(%rdi), %ymm3"], 0),
    ],
)
def test_sums_that_go_to_the_stack_and_back_are_seen(
    architecture: str, window: list[str], share: float
) -> None:
    assert spilled_share([window], architecture) == pytest.approx(share)
