"""The whole way on a board: provisioned, linked, measured, and what befalls it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import emulated_boards
import numpy as np
import pytest
from emulated_boards import know
from real_board import packaged, within

from edgetvm.base.errors import (
    BoardError,
    BoardGoneError,
    BoardTimeoutError,
    TrackerUnreachableError,
)
from edgetvm.farm import Address, Board, connect
from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.linking import linked
from edgetvm.farm.local import own_tracker
from edgetvm.farm.provision import provision
from edgetvm.farm.ssh import Deadlines
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board

SHORT = Deadlines(silence_s=2.0, connect_s=2.0, proof_s=1.0)


@pytest.fixture(scope="module")
def package(tiny_onnx: Path) -> Package:
    """The tiny model for boards that this machine plays."""
    return packaged(tiny_onnx, profile="emulated-x86-64")


@pytest.fixture
def board(isolated_home: Path, session_cache: Path) -> Iterator[EmulatedBoard]:
    """A board that was made ready."""
    with emulated_boards.boards() as (board,):
        know(board)
        assert provision([board.board])[board.name].error is None
        yield board


@pytest.fixture
def there(board: EmulatedBoard) -> Iterator[Board]:
    """The board with a tracker of this machine."""
    with (
        own_tracker() as tracker,
        linked(board.board, tracker=tracker, deadlines=SHORT) as linked_board,
    ):
        assert within(60, lambda: _is_registered(tracker, linked_board.key))
        yield linked_board


def _is_registered(tracker: Address, key: str) -> bool:
    try:
        return key in registered_keys(tracker)
    except TrackerUnreachableError:
        return False


def answers_rightly(there: Board, package: Package) -> bool:
    with connect(there) as session:
        found = session.open(package.data, 1).outputs
    return all(np.allclose(found[name], one) for name, one in package.sample_outputs.items())


def how_measuring_ends(
    there: Board, package: Package, meanwhile: Callable[[], object]
) -> BoardError:
    with connect(there) as session:
        session.open(package.data, 1)
        threading.Timer(0.3, meanwhile).start()
        with pytest.raises(BoardError) as caught:
            for _ in range(100):
                session.time_runs(10**9, 1.0, deadline_s=3.0)
    return caught.value


def test_a_reboot_while_measuring(board: EmulatedBoard, there: Board, package: Package) -> None:
    assert answers_rightly(there, package)
    error = how_measuring_ends(there, package, board.reboot)
    assert isinstance(error, (BoardGoneError, BoardTimeoutError))
    assert "while timing the model" in str(error)
    assert there.tracker is not None
    # Its init has started the server; the link and the tracker know it again.
    tracker = there.tracker
    assert within(30, lambda: there.key in registered_keys(tracker))
    assert answers_rightly(there, package)
