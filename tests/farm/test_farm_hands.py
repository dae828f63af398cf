"""Boards of a farm in the hands of work, by itself and by the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from real_board import alive, within
from real_command import edgetvm, refused
from served_boards import PROFILE, ServedFarm, served_farm

from edgetvm.base.errors import (
    BoardBusyError,
    BoardCrashError,
    BoardError,
    BoardTimeoutError,
    LeaseLostError,
)
from edgetvm.farm.hands import _Patient, any_in_hand, in_hand
from edgetvm.farm.inventory import Board
from edgetvm.farm.jobs import ending_of, run_job
from edgetvm.farm.leases import Request, take
from edgetvm.farm.session import connect
from edgetvm.farm.standing_boards import standing

A, B = Board("a", PROFILE), Board("b", PROFILE)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFarm]:
    """A farm of two boards that tests share; each leaves them whole."""
    with served_farm(tmp_path_factory.mktemp("farm")) as up:
        yield up


@pytest.fixture(autouse=True)
def known(farm: ServedFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the farm, whose boards are good and free."""
    monkeypatch.setenv("EDGETVM_FARM", farm.store.url)
    assert within(20, lambda: farm.is_good("a") and farm.is_good("b")), farm.store.look()


def test_a_board_is_in_hand_for_as_long_as_the_work_lasts(farm: ServedFarm) -> None:
    with standing(A, 5.0, "a try") as up:
        (lease,) = farm.store.look().leases
        assert (lease.board, lease.purpose) == ("a", "a try")
        with standing(up) as again, connect(again) as session:
            assert session.facts()
            assert len(farm.store.look().leases) == 1
    assert farm.store.look().leases == ()


def test_who_finds_a_board_in_other_hands_is_told_whose(farm: ServedFarm) -> None:
    lease = take(farm.store, Request(("a",), owner="ada@desk"), 5)
    with pytest.raises(BoardBusyError, match="ada@desk has a"), standing(A, 0.3):
        pytest.fail("it is hers")
    farm.store.end(lease)


def test_a_hand_that_is_closed_as_it_begins_takes_nothing(
    farm: ServedFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()

    class Slow(threading.Event):
        """Cleared only when the hand was closed."""

        def clear(self) -> None:
            closed.wait(5)
            super().clear()

    monkeypatch.setattr("edgetvm.farm.hands.threading.Event", Slow)
    hand = _Patient(farm.store, "a", "", threading.Condition())
    hand._over.set()
    hand._changed.set()
    closed.set()
    hand._thread.join(5)
    assert not hand._thread.is_alive()
    assert farm.store.look().leases == ()


def test_without_a_farm_boards_are_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGETVM_FARM")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with in_hand([A, B]) as boards:
        assert boards == [A, B]
        assert boards[0].hand is None
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_the_farm_does_not_serve_is_as_it_is(farm: ServedFarm) -> None:
    other = Board("elsewhere", PROFILE)
    with in_hand([other]) as (board,):
        assert board is other
    assert farm.store.look().leases == ()


def test_a_lease_of_the_environment_is_used_and_not_given_back(
    farm: ServedFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = take(farm.store, Request(("a",)), 5)
    monkeypatch.setenv("EDGETVM_LEASE", lease.words)
    with standing(A) as up, connect(up) as session:
        assert session.facts()
    assert farm.store.beat(lease).token == lease.token
    farm.store.end(lease)
    with pytest.raises(LeaseLostError, match="released"), standing(A):
        pytest.fail("it is over")


def test_of_several_boards_one_that_is_lost_is_taken_again(farm: ServedFarm) -> None:
    other = take(farm.store, Request(("b",)), 5)
    with in_hand([A, B], wait_s=5) as (a, b):
        with connect(a) as session:
            assert session.facts()
        with pytest.raises(LeaseLostError, match="not in hand"):
            b.now()
        farm.store.end(other)
        assert within(15, lambda: _is_had(b)), "it came later"
        first = a.now()
        farm.store.kick("a", "the test")
        assert within(20, lambda: _is_had(a) and a.now().key != first.key), "it came back"
        with connect(a) as session:
            assert session.facts()
    assert within(5, lambda: farm.store.look().leases == ())


def _is_had(board: Board) -> bool:
    try:
        return board.now().tracker is not None
    except LeaseLostError:
        return False


def test_the_first_of_several_that_is_free_is_given(farm: ServedFarm) -> None:
    lease = take(farm.store, Request(("a",)), 5)
    with any_in_hand([A, B], wait_s=5) as board:
        assert board.name == "b"
    farm.store.end(lease)


def test_an_infrastructure_error_is_tried_once_more_on_another_board(farm: ServedFarm) -> None:
    seen: list[str] = []

    def work(board: Board) -> str:
        seen.append(board.name)
        if len(seen) == 1:
            raise BoardError("the cable was pulled")
        return "done"

    job = run_job([A, B], work, wait_s=10)
    assert (job.ending, job.value, job.attempts) == ("ok", "done", 2)
    assert sorted(seen) == ["a", "b"]
    assert farm.store.look().leases == ()


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (BoardCrashError("the model's code died"), "failed"),
        (BoardTimeoutError("no answer"), "timed out"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_other_endings_are_not_tried_again(
    farm: ServedFarm, error: BaseException, ending: str
) -> None:
    def work(_: Board) -> None:
        raise error

    job = run_job([A, B], work, wait_s=10)
    assert (job.ending, job.attempts, job.error) == (ending, 1, error)
    assert ending_of(error) == ending


def test_boards_that_are_all_taken_are_an_infrastructure_error(farm: ServedFarm) -> None:
    leases = [take(farm.store, Request((name,)), 5) for name in "ab"]
    job = run_job([A, B], lambda _: None, wait_s=0.2)
    assert (job.ending, job.attempts) == ("infrastructure error", 1)
    for lease in leases:
        farm.store.end(lease)


def test_a_command_runs_with_a_board_and_gives_it_back(farm: ServedFarm) -> None:
    words = 'echo "$TVM_TRACKER_HOST:$TVM_TRACKER_PORT $TVM_TRACKER_KEY"; exit 3'
    offer = farm.offer("a")
    done = edgetvm("lease", "run", "a", "--purpose", "a try", "--", "sh", "-c", words)
    assert done.code == 3
    assert done.out.strip() == f"{offer.tracker} {offer.key}"
    last = farm.store.look().ended[0]
    assert (last.board, last.purpose, last.reason) == ("a", "a try", "released")
    assert refused(edgetvm("lease", "run", "a", "--", "no-such-command"), 9, "no-such-command")


def test_a_board_is_taken_and_given_back_by_hand(farm: ServedFarm) -> None:
    taken = edgetvm("lease", "take", "a", "--for", "60s", "--json")
    assert taken.code == 0
    listed = edgetvm("lease", "list", "--json").document
    (board,) = [one for one in listed["boards"] if one["board"] == "a"]
    assert board["lease"]["token"] == taken.document["token"]
    assert refused(edgetvm("lease", "take", "a"), 8, "no board is free now", "has a for")
    inside = {"EDGETVM_LEASE": taken.document["environment"]["EDGETVM_LEASE"]}
    assert inside["EDGETVM_LEASE"]
    assert edgetvm("lease", "release", "a").code == 0
    assert refused(edgetvm("lease", "release", "a"), 8, "nobody has it")
    assert refused(edgetvm("lease", "take", "c"), 3, "no such board is in the farm")


def test_a_kicked_command_is_ended_and_told_why(farm: ServedFarm) -> None:
    words = ["-m", "edgetvm", "lease", "run", "a", "--", "sh", "-c", "sleep 100 & sleep 100"]
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True) as process:
        assert within(20, lambda: farm.lease_of("a"))
        assert within(10, lambda: len(psutil.Process(process.pid).children(recursive=True)) == 3)
        tree = psutil.Process(process.pid).children(recursive=True)
        done = edgetvm("lease", "kick", "a", "--reason", "lunch")
        assert done.code == 0, done.err
        assert process.wait(30) == 8
        assert process.stderr is not None
        assert ": lunch" in process.stderr.read()
        assert not any(alive(one.pid) for one in tree)


SHORT = """
import sys
from edgetvm.farm.leases import LeaseStore, Request
from edgetvm.farm.leases.running import run_with_board
with LeaseStore(sys.argv[1]) as store:
    run_with_board(store, Request(("a",), ttl_s=2.0), ["sleep", "100"], 10)
"""


def test_a_command_that_is_killed_leaves_the_board_to_the_next(farm: ServedFarm) -> None:
    words = ["-c", SHORT, farm.store.url]
    with subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert within(20, lambda: farm.lease_of("a"))
        assert within(10, lambda: psutil.Process(process.pid).children())
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        assert within(5, lambda: not alive(child.pid)), "its command ends with it"
        lease = farm.lease_of("a")
        assert lease is not None
        began_s = time.monotonic()
        assert within(lease.ttl_s + 2, lambda: farm.lease_of("a") is None)
        assert within(5, lambda: farm.is_good("a"))
        assert time.monotonic() - began_s < lease.ttl_s + 7


def test_a_command_is_stopped_by_ctrl_c_and_gives_the_board_back(farm: ServedFarm) -> None:
    words = ["-m", "edgetvm", "lease", "run", "a", "--", "sleep", "100"]
    with subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert within(20, lambda: farm.lease_of("a"))
        assert within(10, lambda: _sleeps(process))
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT
        assert farm.lease_of("a") is None


def _sleeps(process: subprocess.Popen[bytes]) -> bool:
    return any(one.name() == "sleep" for one in psutil.Process(process.pid).children())


def test_no_farm_is_told(tmp_path: Path) -> None:
    nowhere = {"EDGETVM_FARM": "", "XDG_DATA_HOME": str(tmp_path)}
    for words in (["lease", "list"], ["farm", "status"], ["lease", "take", "a"]):
        assert refused(edgetvm(*words, environment=nowhere), 8, "there is no farm", "farm up")
