"""Boards elsewhere: reached over SSH, linked to a tracker here, and what may befall that way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from far_board import FarBoard, far_board
from program_board import ARCHITECTURES, kernels
from real_board import within
from rpc_conversation import conversation

from edgetvm.base.errors import BoardError, BoardGoneError, BoardTimeoutError, EdgetvmError
from edgetvm.base.version import __version__
from edgetvm.farm import Address, BoardSession, connect, request_board, standing
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.linking import Link, linked
from edgetvm.farm.processes import own_tracker
from edgetvm.farm.ssh import Deadlines
from edgetvm.farm.tracker_client import registered_keys, tracker_summary
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def tracker() -> Iterator[Address]:
    """A tracker that the tests share."""
    with own_tracker() as address:
        assert within(60, lambda: _greets(address))
        yield address


def _greets(tracker: Address) -> bool:
    try:
        tracker_summary(tracker)
    except EdgetvmError:
        return False
    return True


@pytest.fixture
def far(tmp_path: Path, isolated_home: Path) -> Iterator[FarBoard]:
    """A provisioned board that the test may break."""
    with far_board(tmp_path / "far") as board:
        yield board


def free(tracker: Address, key: str) -> int:
    """How often the tracker offers a board."""
    told = tracker_summary(tracker)["queue_info"].get(key, {"free": 0})
    return int(told["free"])


def test_a_session_over_ssh(far: FarBoard, tracker: Address, tiny_package: Package) -> None:
    with linked(far.board(), tracker=tracker) as board:
        assert (board.tracker, board.key) == (tracker, far.name)
        for _ in range(3):
            with connect(board) as session:
                opened = session.open(tiny_package.data, None)
                for name, expected in tiny_package.sample_outputs.items():
                    np.testing.assert_allclose(opened.outputs[name], expected, atol=1e-5)
    assert within(3, lambda: far.name not in registered_keys(tracker))
    assert within(3, lambda: not far.sessions())
