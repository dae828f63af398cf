"""The plugin's format: whatever is written is read, and nothing else is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.base.errors import StorageError
from edgetvm.estimate.trace import Block, Misses, Run, Trace, parse_trace

_COUNT = st.integers(0, 2**64 - 1)
_CODES = st.lists(st.binary(min_size=1, max_size=15), min_size=1, max_size=5)
_BLOCKS = st.lists(st.tuples(_COUNT, _CODES), min_size=1, max_size=5)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    blocks = {
        number: Block(address, tuple(code.hex() for code in codes))
        for number, (address, codes) in enumerate(draw(_BLOCKS), 1)
    }
    window = st.lists(st.sampled_from(sorted(blocks)), min_size=1, max_size=6).map(tuple)
    misses = st.builds(Misses, _COUNT, _COUNT, _COUNT, _COUNT)
    run = st.builds(
        Run,
        _COUNT,
        _COUNT,
        st.lists(misses, max_size=3).map(tuple),
        st.lists(window, max_size=3).map(tuple),
    )
    return Trace(tuple(draw(st.lists(run, max_size=4))), blocks)


def written(trace: Trace) -> str:
    """As `plugin/trace.c` writes it."""
    lines = ["edgetvm-trace 1"]
    for run in trace.runs:
        counts = [
            count
            for one in run.misses
            for count in (one.loads, one.foreseen_loads, one.stores, one.foreseen_stores)
        ]
        lines.append(" ".join(map(str, ["run", run.instructions, run.others, *counts])))
        lines += ["window " + " ".join(map(str, window)) for window in run.windows]
    for number, block in trace.blocks.items():
        lines.append(f"block {number} {block.address:x} {' '.join(block.codes)}")
    return "\n".join([*lines, "end"]) + "\n"


@given(traces())
def test_what_is_written_is_read(trace: Trace) -> None:
    assert parse_trace(written(trace)) == trace


@given(traces(), st.data())
def test_a_trace_that_was_cut_is_refused(trace: Trace, data: st.DataObject) -> None:
    text = written(trace)
    with pytest.raises(StorageError):
        parse_trace(text[: data.draw(st.integers(0, len(text) - 2))])


@given(traces(), st.data())
def test_a_damaged_trace_is_read_or_refused_in_words(trace: Trace, data: st.DataObject) -> None:
    text = written(trace)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.characters()) + text[at + 1 :]
    with contextlib.suppress(StorageError):
        parse_trace(damaged)


def test_a_window_of_an_unknown_block_is_refused() -> None:
    with pytest.raises(StorageError, match="not told"):
        parse_trace("edgetvm-trace 1\nrun 1 0\nwindow 7\nend\n")
