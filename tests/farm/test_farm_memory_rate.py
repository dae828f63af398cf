"""The rate of a board's memory: what is read is all that is counted, on both of our servers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_board import serving

from edgetvm.boards import load_profile
from edgetvm.boards.roofline import roofline_of
from edgetvm.farm import Board, memory_rate
from edgetvm.farm.memory_rate import roofline_on
from edgetvm.farm.session import BoardSession, connect

pytestmark = pytest.mark.board


def test_every_float_is_read_once() -> None:
    """Ones are added up: each sum is the number of steps."""
    from tvm import runtime

    profile = replace(load_profile("local"), cores=3)
    shape = (3, 1000, 8 * profile.vector_lanes)
    with serving() as served:
        remote = served.connect()
        remote.upload(bytearray(memory_rate.library_of(profile, shape)), "read.so")
        module = remote.load_module("read.so")
        data = runtime.empty(shape, "float32", remote.cpu())
        sums = runtime.empty((shape[0], shape[2]), "float32", remote.cpu())
        module["prepare"](data)
        module["main"](data, sums)
        assert np.array_equal(sums.numpy(), np.full((shape[0], shape[2]), 1000, "float32"))


def test_a_board_tells_its_rate_again_and_again(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_rate, "_CACHES", 0)  # the least that is read
    profile = load_profile("local")
    with connect(board) as session:
        for threads in (1, None, None):
            found = roofline_on(session, profile, threads)
            assert found.memory_gbs is not None and found.memory_gbs > 0
            assert found == roofline_of(profile, threads, found.memory_gbs)


def test_an_emulated_board_is_not_asked() -> None:
    nobody = BoardSession(Board("qemu-aarch64", "qemu-aarch64"))
    profile = load_profile("qemu-aarch64")
    assert roofline_on(nobody, profile) == roofline_of(profile)
