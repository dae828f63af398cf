"""Samples in pieces, beside the same in one array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.measure import samples as module
from edgetvm.measure.samples import CHUNK, Samples, Spool, ranked, spaced

NUMBERS = st.lists(st.integers(0, 10**13), min_size=1, max_size=300)


@given(values=NUMBERS, seed=st.integers(0, 99))
def test_ranks_are_those_of_the_sorted_whole(values: list[int], seed: int) -> None:
    whole = sorted(values)
    ranks = np.random.default_rng(seed).integers(0, len(values), 4).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SORTED_AT_ONCE", 0)
        assert ranked(Samples.of(values), ranks) == [whole[rank] for rank in ranks]


@given(pieces=st.lists(NUMBERS, max_size=5))
def test_what_a_spool_gives_back_is_what_it_was_given(pieces: list[list[int]]) -> None:
    spool = Spool()
    for one in pieces:
        spool.add(np.asarray(one, np.int64))
    found = spool.samples()
    whole = [value for one in pieces for value in one]
    assert list(found) == whole
    assert list(found) == whole  # read anew
    assert len(found) == len(whole)
    spool.add(np.asarray([7], np.int64))
    assert list(found) == whole


@given(values=NUMBERS, most=st.integers(1, 400), cut=st.integers(1, 50))
def test_evenly_spaced_ones(values: list[int], most: int, cut: int) -> None:
    pieces = [np.asarray(values[n : n + cut], np.int64) for n in range(0, len(values), cut)]
    found = spaced(Samples(len(values), lambda: iter(pieces)), most)
    step = -(-len(values) // most)
    assert found == values[::step]
    assert len(found) <= most


def test_many_are_read_in_pieces() -> None:
    values = np.arange(3 * CHUNK + 5)
    sizes = [len(chunk) for chunk in Samples.of(values).chunks()]
    assert sizes == [CHUNK, CHUNK, CHUNK, 5]


def test_samples_are_equal_to_those_with_the_same_numbers() -> None:
    assert Samples.of((1, 2, 3)) == Samples.of(np.asarray([1, 2, 3]))
    assert Samples.of((1, 2, 3)) != Samples.of((1, 2, 4))
    assert Samples.of((1, 2, 3)) != Samples.of((1, 2))
    assert hash(Samples.of((1, 2))) == hash(Samples.of([1, 2]))
