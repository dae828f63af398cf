"""A farm's daemon with real servers: fenced, proven, killed, frozen, and brought back."""

from __future__ import annotations

import errno
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from real_board import alive, within
from served_boards import PROFILE, QUICK, ServedFarm, served_farm, stop_tree

from edgetvm.base.errors import (
    BoardBusyError,
    BoardError,
    BoardGoneError,
    LeaseLostError,
    TrackerUnreachableError,
)
from edgetvm.farm import local
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping import daemon, raising
from edgetvm.farm.keeping.ways import NotPossible
from edgetvm.farm.leases import LeaseStore, Request, held, take
from edgetvm.farm.listening import listening_socket
from edgetvm.farm.probing import probe
from edgetvm.farm.session import connect
from edgetvm.farm.tracker_client import Address, request_board


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFarm]:
    """A farm of two boards that tests share; each leaves them whole."""
    with served_farm(tmp_path_factory.mktemp("farm")) as up:
        yield up


@pytest.fixture(autouse=True)
def whole(farm: ServedFarm) -> None:
    """Both boards are good and free before each test."""
    assert within(20, lambda: farm.is_good("a") and farm.is_good("b")), farm.store.look()


def board_of(mine: object) -> Board:
    return Board("a", PROFILE, hand=mine)  # type: ignore[arg-type]


def test_a_proof_is_a_session(farm: ServedFarm) -> None:
    offer = farm.offer("a")
    assert offer.tracker is not None
    assert offer.key is not None
    assert probe(offer.tracker, offer.key, "a")["cores"] >= 1
    before_s = farm.offer("a").age_s
    assert within(10, lambda: (farm.offer("a").age_s or 0) < (before_s or 0)), "proven again"


def test_a_holder_works_and_his_key_is_good_no_more_when_he_is_done(farm: ServedFarm) -> None:
    with held(farm.store, Request(("a",))) as mine:
        old = board_of(mine)
        with connect(old) as session:
            assert session.facts()["cores"] >= 1
        tracker, key = mine.where()
    assert within(10, lambda: farm.is_good("a"))
    assert farm.offer("a").key != key
    with pytest.raises(BoardBusyError):
        request_board(tracker, key, 0.5)
    with pytest.raises(BoardError):
        mine.where()


def test_a_kicked_holder_s_connection_is_cut(farm: ServedFarm) -> None:
    with held(farm.store, Request(("a",), ttl_s=0.6)) as mine, connect(board_of(mine)) as session:
        assert session.facts()
        farm.store.kick("a", "kicked by the test")
        assert within(10, lambda: farm.is_good("a"))
        with pytest.raises((LeaseLostError, BoardGoneError)):
            session.facts()
        with pytest.raises(LeaseLostError, match="kicked by the test"):
            session.facts()


def test_a_session_that_is_cut_off_is_gone_before_the_board_is_given_again(
    farm: ServedFarm,
) -> None:
    lease = take(farm.store, Request(("a",), ttl_s=60), 0)
    tracker, key = lease.server
    with connect(Board("a", PROFILE, tracker, key)) as session:
        assert session.facts()
        (old,) = farm.server_of("a").children()
        farm.store.kick("a", "the test")
        with held(farm.store, Request(("a",)), wait_s=10):
            assert not alive(old.pid)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_session_s_death_costs_the_holder_nothing_else(
    farm: ServedFarm, number: signal.Signals
) -> None:
    with held(farm.store, Request(("a",))) as mine:
        with connect(board_of(mine)) as session:
            session.facts()
            (child,) = farm.server_of("a").children()
            child.send_signal(number)
            with pytest.raises(BoardError):
                session.facts()
        with connect(board_of(mine)) as session:
            assert session.facts()


def test_a_server_that_dies_in_a_lease_comes_back_under_the_lease_s_key(farm: ServedFarm) -> None:
    with held(farm.store, Request(("a",))) as mine:
        where = mine.where()
        stop_tree(farm.server_of("a"), signal.SIGKILL)
        assert within(10, lambda: _answers(mine))
        assert mine.where() == where


def _answers(mine: object) -> bool:
    try:
        with connect(board_of(mine)) as session:
            return bool(session.facts(2.0))
    except BoardError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_free_server_that_dies_or_freezes_is_found_and_replaced(
    farm: ServedFarm, number: signal.Signals
) -> None:
    before = farm.offer("a").key
    server = farm.server_of("a")
    stop_tree(server, number)
    assert within(20, lambda: farm.offer("a").key not in (before, None))
    assert within(10, lambda: farm.is_good("a"))
    assert not alive(server.pid)


def test_a_tracker_that_dies_comes_back_at_its_place(
    farm: ServedFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = iter([OSError(errno.EAGAIN, "no more processes now")])

    def spawned(*words: object) -> object:
        for error in starts:
            raise error
        return local.spawned(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(daemon, "spawned", spawned)
    with held(farm.store, Request(("a",))) as mine:
        farm.daemon.tracker._process.kill()
        assert within(20, lambda: _answers(mine))
        assert mine.where()[0] == farm.daemon.tracker.address


def _ports(farm: ServedFarm) -> list[int]:
    server = farm.server_of("a")
    found = [one.laddr.port for one in server.net_connections("tcp") if one.status == "LISTEN"]
    return [*found, farm.daemon.tracker.address.port]


def test_strangers_at_the_ports_hold_nobody_up(farm: ServedFarm) -> None:
    said = [
        b"",
        b"\x71\xf2\x0f\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x71\xf2\x02\x00\xff\xff\xff\x7f",
    ]
    strangers = []
    for port in _ports(farm):
        for words in said:
            strangers.append(socket.create_connection(("127.0.0.1", port), 5))
            strangers[-1].sendall(words)
    try:
        with held(farm.store, Request(("a",)), wait_s=10) as mine:
            began_s = time.monotonic()
            assert within(5, lambda: _answers(mine))
            assert time.monotonic() - began_s < 30
    finally:
        for one in strangers:
            one.close()


def test_one_board_s_trouble_holds_up_no_other(farm: ServedFarm) -> None:
    before = farm.offer("a").key
    stop_tree(farm.server_of("a"), signal.SIGSTOP)
    for _ in range(3):
        with held(farm.store, Request(("b",)), wait_s=10) as mine:
            assert mine.lease.board == "b"
    assert within(20, lambda: farm.offer("a").key not in (before, None))


def test_a_maintained_board_rests_and_locks_its_last_holder_out(farm: ServedFarm) -> None:
    lease = take(farm.store, Request(("a",)), 5)
    farm.store.maintain("a", "a new fan", begins=True)
    try:
        assert probe(*lease.server, "a")["cores"], "who has it may end his work"
        farm.store.end(lease)
        assert within(10, lambda: not farm.daemon.keepers["a"].way.is_up)
        with pytest.raises(BoardBusyError):
            request_board(*lease.server, 0.5)
        with pytest.raises(BoardBusyError, match="a is maintenance: a new fan"):
            take(farm.store, Request(("a",)), 0.5)
    finally:
        farm.store.maintain("a", "", begins=False)


class Broken:
    """A board that no means bring back."""

    is_up = True

    def __init__(self, tracker: Address, error: BoardError) -> None:
        self.tracker, self._error = tracker, error
        self.tried: list[str] = []

    def _try(self, name: str) -> None:
        self.tried.append(name)

    def serve(self, key: str, deadline_s: float) -> str:
        self._try("serve")
        raise self._error

    def resume(self, key: str, deadline_s: float) -> None:
        raise BoardError("it is broken")

    def reconnect(self, deadline_s: float) -> None:
        self._try("reconnect")

    def end_strays(self, deadline_s: float) -> None:
        raise NotPossible("there is no way")

    def reboot(self, deadline_s: float) -> None:
        self._try("reboot")

    def power_cycle(self, deadline_s: float) -> None:
        self._try("power")

    def close(self) -> None:
        return


def test_the_ladder_is_climbed_rung_by_rung_until_a_board_is_bad(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgetvm.farm")
    ways: dict[str, Broken] = {}

    def way(board: Board, tracker: Address) -> Broken:
        ways[board.name] = Broken(tracker, BoardError("it is broken"))
        return ways[board.name]

    with served_farm(tmp_path, ("c",), way=way, times=replace(QUICK, bad_pause_s=0.5)) as farm:
        assert within(10, lambda: farm.offer("c").verdict == "bad")
        assert farm.offer("c").detail == "it is broken"
        tried = ways["c"].tried
        assert tried[:6] == ["serve", "reconnect", "serve", "serve", "serve", "reboot"]
        assert "reboot (1 of 1), because: it is broken" in caplog.text
        assert "end stray processes is left out: there is no way" in caplog.text
        count = len(tried)
        assert within(10, lambda: len(ways["c"].tried) > count), "a bad board is tried again"
        assert ways["c"].tried.count("reboot") == 1, "and not by force"


def test_no_board_is_started_anew_for_a_tracker_that_is_away(tmp_path: Path) -> None:
    away = TrackerUnreachableError("the tracker does not answer", where="127.0.0.1:9")
    ways: list[Broken] = []

    def way(board: Board, tracker: Address) -> Broken:
        ways.append(Broken(tracker, away))
        return ways[0]

    with served_farm(tmp_path, ("c",), way=way, settled=False) as farm:
        assert within(10, lambda: len(ways[0].tried) > 3)
        assert set(ways[0].tried) == {"serve"}
        assert farm.offer("c").verdict == "unknown"
        assert within(5, lambda: farm.offer("c").detail == "the tracker does not answer")


def test_leases_outlive_the_daemon_and_are_served_by_the_next(tmp_path: Path) -> None:
    with served_farm(tmp_path, ("a",)) as farm:
        lease = take(farm.store, Request(("a",), ttl_s=60), 5)
    with served_farm(tmp_path, ("a",)) as farm:
        assert farm.store.beat(lease).server == lease.server
        assert within(
            10,
            lambda: probe(*lease.server, "a")["cores"] if farm.daemon.keepers["a"].way.is_up else 0,
        )
        with pytest.raises(BoardBusyError, match="has a for"):
            take(farm.store, Request(("a",)), 0)
        assert farm.store.end(lease)
        with held(farm.store, Request(("a",)), wait_s=10):
            pass


def test_a_holder_goes_on_when_the_daemon_is_started_anew(tmp_path: Path) -> None:
    def asked(mine: object) -> object:
        with connect(board_of(mine)) as session:
            return session.facts()["cores"]

    with ExitStack() as open_:
        store = open_.enter_context(LeaseStore(f"sqlite:///{tmp_path}/farm.sqlite"))
        with served_farm(tmp_path, ("a",)):
            mine = open_.enter_context(held(store, Request(("a",)), wait_s=5))
        pool = open_.enter_context(ThreadPoolExecutor(1))
        cores = pool.submit(asked, mine)
        assert not cores.done(), "nobody serves it"
        with served_farm(tmp_path, ("a",)):
            assert cores.result(30)


def test_a_holder_is_told_of_a_tracker_at_another_port(tmp_path: Path) -> None:
    with served_farm(tmp_path, ("a",)) as farm:
        lease = take(farm.store, Request(("a",), ttl_s=60), 5)
    before, key = lease.server
    with listening_socket(before.port), served_farm(tmp_path, ("a",)) as farm:
        now = farm.daemon.tracker.address, key
        assert now[0] != before
        assert within(10, lambda: farm.store.beat(lease).server == now)
        assert probe(*now, "a")["cores"]


def test_a_board_that_another_daemon_took_over_is_left(tmp_path: Path) -> None:
    with served_farm(tmp_path, ("a",)) as farm:
        keeper = farm.daemon.keepers["a"]

        def taken_over() -> bool:
            farm.store.sign_off("test")  # as if silent for long
            return farm.store.enlist("another", [("a", PROFILE)]) == ["a"]

        assert within(5, taken_over)
        assert within(5, lambda: not farm.daemon.keepers)
        assert within(10, lambda: not keeper.way.is_up)
        keeper.way.finish()  # type: ignore[attr-defined]


def test_a_lease_whose_board_stays_away_ends_with_the_reason(tmp_path: Path) -> None:
    with served_farm(tmp_path, ("a",)) as farm:
        lease = take(farm.store, Request(("a",), ttl_s=60), 5)
        way = farm.daemon.keepers["a"].way
        way._start = _no_start  # type: ignore[attr-defined]
        stop_tree(farm.server_of("a"), signal.SIGKILL)
        assert within(15, lambda: farm.store.look().leases == ())
        (ended,) = [one for one in farm.store.look().ended if one.token == lease.token]
        assert ended.reason.startswith("board lost: ")


def _no_start(*_: object) -> object:
    raise BoardError("it does not start")


def test_a_farm_that_does_not_come_up_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(raising, "_STARTS_S", 0.0)
    with pytest.raises(BoardError, match="did not come up"):
        raising.up([Board("c", PROFILE)])
    assert within(10, lambda: not _daemons())


def _daemons() -> list[psutil.Process]:
    """Of a farm, that this process has started and that run."""
    children = [one for one in psutil.Process().children() if alive(one.pid)]
    return [one for one in children if raising._MODULE in one.cmdline()]


def test_a_probe_tells_what_is_wrong() -> None:
    with listening_socket() as silent:
        port = silent.getsockname()[1]
        began_s = time.monotonic()
        with pytest.raises(BoardError):
            probe(Address("127.0.0.1", port), "key", "a", 1.0)
        assert time.monotonic() - began_s < 10
