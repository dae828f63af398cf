"""A farm of provisioned boards that SSH leads to: fenced, rebooted and brought back there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import emulated_boards
import pytest
from emulated_boards import know
from real_board import within
from served_boards import ServedFarm, served_farm

from edgetvm.base.errors import BoardBusyError, BoardError
from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.emulating.faults import sessions_killed
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.keeper import Times
from edgetvm.farm.keeping.linked_way import Linked
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.leases import Request, held
from edgetvm.farm.probing import probe
from edgetvm.farm.provision import provision
from edgetvm.farm.tracker_client import Address, request_board

pytestmark = pytest.mark.board
_TIMES = Times(proof_age_s=2.0, proof_s=5.0, serve_s=20.0, lost_s=20.0, look_s=0.05, sign_s=0.1)


@pytest.fixture(autouse=True)
def kept_cache(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own cache, and a home of the test's own all the same."""
    monkeypatch.setenv(*emulated_boards.CACHE)


@pytest.fixture(scope="module")
def emulated() -> Iterator[EmulatedBoard]:
    """A board that is on and provisioned."""
    with emulated_boards.boards(1) as (board,):
        yield board


@pytest.fixture
def far(emulated: EmulatedBoard, isolated_home: Path, tmp_path: Path) -> Iterator[ServedFarm]:
    """A farm of it."""
    know(emulated)
    (outcome,) = provision([emulated.board]).values()
    assert outcome.error is None, outcome.error

    def way(_: Board, tracker: Address) -> Linked:
        return Linked(emulated.board, tracker)

    with served_farm(tmp_path, (emulated.name,), way=way, times=_TIMES) as farm:
        assert farm.offer(emulated.name).verdict == "good", farm.offer(emulated.name)
        yield farm


def key_on(board: EmulatedBoard) -> str:
    return board.run("cat", LAYOUT.key_file).strip()


def test_the_key_on_the_board_is_another_after_each_lease(
    far: ServedFarm, emulated: EmulatedBoard
) -> None:
    before = key_on(emulated)
    with held(far.store, Request((emulated.name,)), wait_s=5) as mine:
        where = mine.where()
        assert probe(*where, emulated.name)["cores"] >= 1
        assert key_on(emulated) == before, "it may go on"
    assert within(20, lambda: far.is_good(emulated.name))
    assert key_on(emulated) != before
    with pytest.raises(BoardBusyError):
        request_board(*where, 0.5)


def test_a_connection_that_is_cut_in_a_lease_comes_back_under_its_key(
    far: ServedFarm, emulated: EmulatedBoard
) -> None:
    with held(far.store, Request((emulated.name,)), wait_s=5) as mine:
        where = mine.where()
        sessions_killed(emulated)
        assert within(30, lambda: _answers(where, emulated.name))
        assert mine.where() == where


def _answers(where: tuple[Address, str], name: str) -> bool:
    try:
        return bool(probe(*where, name, 2.0))
    except BoardError:
        return False


def test_a_board_that_lost_its_program_is_bad_and_says_what_to_do(
    far: ServedFarm, emulated: EmulatedBoard, caplog: pytest.LogCaptureFixture
) -> None:
    with held(far.store, Request((emulated.name,)), wait_s=20):
        emulated.run("mv", LAYOUT.current, f"{LAYOUT.current}.away")
    assert within(40, lambda: far.offer(emulated.name).verdict == "bad")
    assert far.offer(emulated.name).detail == (
        f"edgetvm's program is not there (provision it: edgetvm provision {emulated.name})"
    )
    assert "reboot" not in caplog.text, "that would not help"
    emulated.run("mv", f"{LAYOUT.current}.away", LAYOUT.current)
    far.store.maintain(emulated.name, "resumed", begins=False)
    assert within(40, lambda: far.is_good(emulated.name))


def test_a_power_cycle_is_proven_by_another_boot(far: ServedFarm, emulated: EmulatedBoard) -> None:
    before = emulated.run("cat", "/proc/sys/kernel/random/boot_id")
    way = Linked(emulated.board, far.daemon.tracker.address)
    way.power_cycle(60.0)
    assert emulated.run("cat", "/proc/sys/kernel/random/boot_id") != before
    assert within(60, lambda: far.is_good(emulated.name))
