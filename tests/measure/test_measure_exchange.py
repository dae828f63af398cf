"""Measurements out of a store and in again, whatever the blocks that a file is read in."""

from __future__ import annotations

import io
import json
import math
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import make

from edgetvm.base.errors import ConfigurationError
from edgetvm.measure import Measurement, Store, exchange
from edgetvm.measure.exchange import exported, imported, read_measurements
from edgetvm.measure.measurement import to_json
from edgetvm.measure.samples import CHUNK, Samples, Spool


def made(number: int, samples: Samples | None = None, **changes: object) -> Measurement:
    """A measurement with samples of its own."""
    one = replace(make(**changes), id=f"2026030{number}T120000-a")
    return replace(one, samples_ns=samples or Samples.of(range(number, number + 5)))


def read(data: bytes, where: str = "all.jsonl") -> list[Measurement]:
    """All measurements of a file."""
    return list(read_measurements(io.BytesIO(data), where))


def lines_of(*measurements: Measurement) -> bytes:
    """An exported file."""
    return b"".join(part for one in measurements for part in exported(one))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(f"sqlite:///{tmp_path / 'r.sqlite'}")


@given(
    samples=st.lists(
        st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=40), min_size=1, max_size=4
    ),
    block_bytes=st.integers(1, 200),
)
def test_whatever_the_blocks_the_same_comes_back(
    samples: list[list[int]], block_bytes: int
) -> None:
    kept = [made(1 + number, Samples.of(one)) for number, one in enumerate(samples)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "_BLOCK_BYTES", block_bytes)
        assert read(lines_of(*kept) + b"\n") == kept


def test_a_store_is_filled_once(store: Store) -> None:
    kept = [made(1, Samples.of(range(CHUNK + 2))), made(2), made(3, metrics={"error": 0.25})]
    assert imported(store, read(lines_of(*kept))) == (3, 0)
    assert [store.load(one.id) for one in kept] == kept
    assert imported(store, read(lines_of(*kept))) == (0, 3)


def test_figures_that_are_no_numbers_come_back() -> None:
    odd = made(1, metrics={"none": math.nan, "endless": math.inf, "below": -math.inf})
    (back,) = read(lines_of(odd))
    assert math.isnan(back.metrics["none"])
    assert (back.metrics["endless"], back.metrics["below"]) == (math.inf, -math.inf)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_file_of_before_the_database_is_read(indent: int | None) -> None:
    document = json.loads(to_json(make()))
    for name in ("windows", "rule", "preset", "runs_per_query", "target_qps", "settled"):
        del document[name]
    document["schema_version"] = 1
    (back,) = read(json.dumps(document, indent=indent).encode(), "old.json")
    assert replace(back, schema_version=2) == make()


def test_a_name_that_looks_like_samples_is_a_name() -> None:
    tricky = made(1, model='"samples_ns":[1,2]')
    assert read(lines_of(tricky)) == [tricky]


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"",
        b"\n\n",
        b"nonsense",
        b'{"a": 1}\n{"b": 2}\n',
        lines_of(made(1)).replace(b'"samples_ns":[1,', b'"samples_ns":[1,,'),
        lines_of(made(1)).replace(b'"samples_ns":[1,', b'"samples_ns":[-1,'),
        lines_of(made(1)).replace(b'"samples_ns":[1,', b'"samples_ns":[1.5,'),
        lines_of(made(1)).replace(b'"samples_ns":[1,2,3,4,5]', b'"samples_ns":[]'),
        lines_of(made(1)).partition(b"1,2,3")[0] + b"1,2,3",
        lines_of(made(1)).replace(b'"samples_ns"', b'"samples_ns":[7],"samples_ns"'),
    ],
)
def test_what_is_no_measurement_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not a measurement"):
        read(data)


def test_a_damaged_line_is_named_and_those_before_it_are_kept(store: Store) -> None:
    file = io.BytesIO(lines_of(made(1)) + b'{"schema_version": 2}\n')
    with pytest.raises(ConfigurationError, match=r"all\.jsonl, line 2: not a measurement"):
        imported(store, read_measurements(file, "all.jsonl"))
    assert store.ids() == [made(1).id]


def test_memory_does_not_grow_with_the_samples(store: Store, tmp_path: Path) -> None:
    """Half a million samples are 4 MB as numbers, and many times that as Python reads JSON."""
    spool = Spool()
    for _ in range(8):
        spool.add(np.full(CHUNK, 10**9, np.int64))
    path = tmp_path / "many.jsonl"
    tracemalloc.start()
    try:
        with path.open("wb") as written:
            written.writelines(exported(made(1, spool.samples())))
        with path.open("rb") as file:
            assert imported(store, read_measurements(file, "many.jsonl")) == (1, 0)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert len(store.load(made(1).id).samples_ns) == 8 * CHUNK
