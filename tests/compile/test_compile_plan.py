"""Tensors in one arena: pure planning."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.compile.memory.plan import Lifetime, Plan, lower_bound_bytes, plan

LIFETIMES = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(0, 5000),
    st.integers(0, 30),
    st.integers(0, 12),
)


def check(tensors: list[Lifetime], found: Plan) -> None:
    """Every tensor is aligned and inside, and none is over another that is needed with it."""
    for one, offset in zip(tensors, found.offsets_bytes, strict=True):
        assert offset >= 0
        assert offset % 64 == 0
        assert offset + one.size_bytes <= found.size_bytes
    places = list(zip(tensors, found.offsets_bytes, strict=True))
    for (one, at), (other, place) in combinations(places, 2):
        if any(other.first <= step <= other.last for step in range(one.first, one.last + 1)):
            assert at + one.size_bytes <= place or place + other.size_bytes <= at


@given(st.lists(LIFETIMES, max_size=40))
@settings(max_examples=60, deadline=None)
def test_tensors_fit_and_never_overlap_while_both_are_needed(tensors: list[Lifetime]) -> None:
    found = plan(tensors)
    check(tensors, found)
    steps = range(max((one.last for one in tensors), default=0) + 1)
    live = [
        sum(-(-one.size_bytes // 64) * 64 for one in tensors if one.first <= step <= one.last)
        for step in steps
    ]
    assert found.lower_bound_bytes == max(live)
    assert found.size_bytes >= found.lower_bound_bytes
    assert plan(tensors) == found


def test_a_plan_by_hand() -> None:
    # A network of three layers and a branch. Steps: 0 makes a; 1 a to b; 2 b to c; 3 a and c to d.
    a, b, c, d = Lifetime(100, 0, 3), Lifetime(64, 1, 2), Lifetime(65, 2, 3), Lifetime(256, 3, 4)
    # Step 3 needs a (128), c (128) and d (256).
    assert lower_bound_bytes([a, b, c, d]) == 512
    found = plan([a, b, c, d])
    check([a, b, c, d], found)
    assert found.size_bytes == 512


def test_a_chain_needs_no_more_than_two_neighbours() -> None:
    sizes = [128, 128, 64, 128, 32, 128, 128, 64, 128]
    chain = [Lifetime(size, step, step + 1) for step, size in enumerate(sizes)]
    found = plan(chain)
    check(chain, found)
    assert found.size_bytes == 256


def test_several_tensors_that_are_in_the_way_are_all_moved() -> None:
    # A keyword spotter: the arena is large until none of the small ones is between large ones.
    tensors = []
    for start in range(0, 64, 8):
        tensors += [
            Lifetime(16000, start, start + 1),
            Lifetime(32000, start + 1, start + 2),
            Lifetime(32000, start + 2, start + 8),
        ]
        tensors += [Lifetime(512, start + step, start + step + 2) for step in range(3, 7)]
    found = plan(tensors)
    check(tensors, found)
    assert found.size_bytes <= 1.1 * found.lower_bound_bytes


def test_no_tensors() -> None:
    assert plan([]) == Plan((), 0, 0)
