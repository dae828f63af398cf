"""A network's troubles between a holder and his board: each is told in time, and passes."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from real_board import within
from served_boards import PROFILE, ServedFarm, served_farm, stop_tree

from benchmarks.farm.program_boards import ProgramBoard
from benchmarks.farm.proxy import Proxy, Trouble
from edgetvm.base.errors import BoardGoneError, BoardTimeoutError
from edgetvm.farm.inventory import Board
from edgetvm.farm.leases import Held, Request, held
from edgetvm.farm.session import BoardSession, connect
from edgetvm.package.archive import Package


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedFarm]:
    """A farm of one board that tests share; each leaves it whole."""
    with served_farm(tmp_path_factory.mktemp("farm"), ("a",)) as up:
        yield up


@pytest.fixture
def proxy(farm: ServedFarm) -> Proxy:
    """That all sessions with the board go through."""
    way = farm.daemon.keepers["a"].way
    assert isinstance(way, ProgramBoard)
    return way.proxy


@pytest.fixture
def mine(farm: ServedFarm) -> Iterator[Held]:
    """The board, in hand."""
    with held(farm.store, Request(("a",)), wait_s=20) as mine:
        yield mine


def board_of(mine: Held) -> Board:
    return Board("a", PROFILE, hand=mine)


def exchanged(session: BoardSession, data: bytes, deadline_s: float) -> bytes:
    """A file that went to the board and came back."""

    def exchange() -> bytes:
        session._remote.upload(bytearray(data), "file")
        return bytes(session._remote.download("file"))

    return session._call(exchange, "receiving a file", deadline_s)


def test_a_late_and_lossy_network_only_takes_longer(mine: Held, proxy: Proxy) -> None:
    with proxy.having(Trouble(latency_s=0.02, loss=0.05)), connect(board_of(mine)) as session:
        assert session.facts()
        assert exchanged(session, b"x" * 50_000, 20.0) == b"x" * 50_000


def test_a_late_network_is_in_no_sample(mine: Held, proxy: Proxy, tiny_package: Package) -> None:
    with connect(board_of(mine)) as session:
        session.open(tiny_package.data, 1)
        with proxy.having(Trouble(latency_s=0.2)):
            samples_ns = session.time_runs(20, 5.0)
    assert len(samples_ns) == 20
    assert samples_ns.max() < 0.2e9


@pytest.mark.parametrize("way", ["drops_up", "drops_down"])
def test_a_half_open_connection_is_late_and_then_it_is_over(
    mine: Held, proxy: Proxy, way: str
) -> None:
    with connect(board_of(mine)) as session:
        assert session.facts()
        began_s = time.monotonic()
        with proxy.having(Trouble(**{way: True})), pytest.raises(BoardTimeoutError):
            session.facts(1.0)
        assert time.monotonic() - began_s < 10
    with connect(board_of(mine)) as session:
        assert session.facts()


def test_a_reset_in_the_middle_of_a_file_is_told_and_leaves_nothing(
    mine: Held, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[BoardSession] = []
    facts = BoardSession.facts

    def told(session: BoardSession, deadline_s: float = 20.0) -> dict[str, Any]:
        asked.append(session)
        return facts(session, deadline_s)

    monkeypatch.setattr(BoardSession, "facts", told)
    with connect(board_of(mine)) as session, proxy.having(Trouble(bytes_per_s=100_000)):
        session.facts()
        threading.Timer(0.3, proxy.reset).start()
        with pytest.raises(BoardGoneError, match="and it is back"):
            exchanged(session, b"x" * 500_000, 20.0)
        assert [one is session for one in asked] == [True, True, False], "it is asked once"
    with connect(board_of(mine)) as session:
        assert exchanged(session, b"y" * 50_000, 20.0) == b"y" * 50_000


def test_a_frozen_board_holds_up_no_other_thread(farm: ServedFarm, mine: Held) -> None:
    ticks: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.02):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    server = farm.server_of("a")
    try:
        with connect(board_of(mine)) as session:
            session.facts()
            stop_tree(server, signal.SIGSTOP)
            with pytest.raises(BoardTimeoutError):
                session.facts(1.0)
    finally:
        stop_tree(server, signal.SIGCONT)
        over.set()
        thread.join()
    assert max(later - earlier for earlier, later in itertools.pairwise(ticks)) < 5.0


def test_a_free_board_behind_a_dead_line_is_brought_back_when_the_line_is(
    farm: ServedFarm, proxy: Proxy
) -> None:
    assert within(20, lambda: farm.is_good("a"))
    with proxy.having(Trouble(drops_down=True)):
        assert within(20, lambda: farm.offer("a").verdict != "good"), "it is found by a proof"
    assert within(30, lambda: farm.is_good("a"))
