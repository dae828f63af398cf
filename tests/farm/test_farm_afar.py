"""A farm of provisioned boards that SSH leads to: fenced, rebooted and brought back there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import emulated_boards
import pytest
from emulated_boards import know
from real_board import within
from real_postgresql import postgresql
from served_boards import ServedFarm, served_farm

from edgetvm.base.errors import BoardBusyError, BoardError
from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.emulating.faults import link_down, sessions_killed
from edgetvm.farm.emulating.inventory_of import inventory_text
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.keeper import Times
from edgetvm.farm.keeping.linked_way import Linked
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.leases import Request, held, take
from edgetvm.farm.probing import probe
from edgetvm.farm.provision import provision
from edgetvm.farm.ssh import Deadlines
from edgetvm.farm.tracker_client import Address, request_board

pytestmark = pytest.mark.board
_TIMES = Times(
    proof_age_s=2.0,
    proof_s=3.0,
    serve_s=20.0,
    lost_s=20.0,
    bad_pause_s=1.0,
    look_s=0.05,
    sign_s=0.1,
)
# A pulled cable is noticed in the time of a test.
_DEADLINES = Deadlines(connect_s=3.0, proof_s=3.0, silence_s=3.0)


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
def provisioned(emulated: EmulatedBoard, isolated_home: Path) -> EmulatedBoard:
    """The board, whose host key this test's home knows."""
    know(emulated)
    (outcome,) = provision([emulated.board]).values()
    assert outcome.error is None, outcome.error
    return emulated


@contextmanager
def farm_of(board: EmulatedBoard, folder: Path, url: str | None = None) -> Iterator[ServedFarm]:
    """A farm of one board that SSH leads to."""

    def way(_: Board, tracker: Address) -> Linked:
        return Linked(board.board, tracker, _DEADLINES)

    with served_farm(folder, (board.name,), url=url, way=way, times=_TIMES) as farm:
        assert farm.offer(board.name).verdict == "good", farm.offer(board.name)
        yield farm


@pytest.fixture
def far(provisioned: EmulatedBoard, tmp_path: Path) -> Iterator[ServedFarm]:
    """A farm of it."""
    with farm_of(provisioned, tmp_path) as farm:
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


def test_a_pulled_cable_is_told_in_time_and_the_lease_goes_on_when_it_is_back(
    far: ServedFarm, emulated: EmulatedBoard
) -> None:
    name = emulated.name
    with held(far.store, Request((name,)), wait_s=20) as mine:
        where = mine.where()
        assert _answers(where, name)
        with link_down(emulated):
            # Nobody said goodbye: both ends of the connection are half open.
            with pytest.raises(BoardError):
                probe(*where, name, 1.0)
            assert within(15, lambda: not far.daemon.keepers[name].way.is_up), "its link notices"
            mine.check()
        assert within(30, lambda: _answers(where, name))
        assert mine.where() == where
    assert within(20, lambda: far.is_good(name))


def test_a_free_board_whose_cable_is_pulled_is_given_to_nobody(
    far: ServedFarm, emulated: EmulatedBoard
) -> None:
    name = emulated.name
    with link_down(emulated):
        assert within(20, lambda: far.offer(name).verdict != "good")
        with pytest.raises(BoardBusyError, match=f"{name} is (unknown|bad): "):
            take(far.store, Request((name,)), 0)
    assert within(60, lambda: far.is_good(name))
    with held(far.store, Request((name,)), wait_s=5) as mine:
        assert _answers(mine.where(), name)


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


# The name by which a farm knows a host is all that makes another one of this machine.
_ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh")
_WORK = """
import sys, time
from edgetvm.base.errors import EdgetvmError
from edgetvm.farm import connect, find_board, standing
try:
    with standing(find_board(sys.argv[1]), 20, "work from afar") as up, connect(up) as session:
        print(session.facts()["cores"], flush=True)
        while session.facts():
            time.sleep(0.05)
except EdgetvmError as error:
    sys.exit(str(error))
"""


def test_another_host_reaches_a_board_by_itself_and_is_locked_out_with_its_lease(
    provisioned: EmulatedBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = provisioned.name
    (tmp_path / "boards.yaml").write_text(inventory_text([provisioned]))
    monkeypatch.setenv("EDGETVM_INVENTORY", str(tmp_path / "boards.yaml"))
    with postgresql() as url, farm_of(provisioned, tmp_path, url) as farm:
        monkeypatch.setenv("EDGETVM_FARM", url)
        words = [*_ELSEWHERE, sys.executable, "-c", _WORK, name]
        with subprocess.Popen(words, stdout=PIPE, stderr=PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline(), process.stderr.read()
            lease = farm.lease_of(name)
            assert lease is not None
            assert (lease.owner.partition("@")[2], lease.purpose) == ("elsewhere", "work from afar")
            key = key_on(provisioned)
            assert farm.store.kick(name, "the test")
            assert within(20, lambda: farm.is_good(name))
            assert key_on(provisioned) != key
            assert process.wait(30) == 1
            assert f"board {name}: " in process.stderr.read()
        with held(farm.store, Request((name,)), wait_s=5) as mine:
            assert _answers(mine.where(), name)
