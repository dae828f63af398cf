"""Leases in a real database: races, expiry, the queue, and processes that die in mid-write."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_board import within
from real_postgresql import postgresql
from sqlalchemy import text

from benchmarks.farm.history import double_leases
from benchmarks.farm.racing import offer, race
from edgetvm.base.errors import (
    BoardBusyError,
    ConfigurationError,
    LeaseLostError,
    NotFoundError,
    StorageError,
    UsageError,
)
from edgetvm.farm.leases import Lease, LeaseStore, Proof, Request, Waiting, clock, held, take
from edgetvm.farm.leases.document import farm_document
from edgetvm.farm.leases.queueing import AGEING_S, before, board_for, in_order
from edgetvm.farm.tracker_client import Address

TRACKER = Address("127.0.0.1", 9190)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/farm.sqlite"
    found: str = request.getfixturevalue("server")
    with LeaseStore(found) as store, store._engine.begin() as connection:
        for table in ("leases", "waiting", "boards", "daemons", "farm"):
            connection.execute(text(f"DROP TABLE {table}"))
    return found


@pytest.fixture
def store(url: str) -> Iterator[LeaseStore]:
    """A farm of two boards, both proven good."""
    with LeaseStore(url) as opened:
        opened.enlist("daemon", [("a", "desk"), ("b", "desk")])
        for board in ("a", "b"):
            offer(opened, board)
        yield opened


def got(store: LeaseStore, *boards: str, **options: object) -> Lease:
    """A lease that is there to be had."""
    found = store.ask(Request(boards, **options))  # type: ignore[arg-type]
    assert isinstance(found, Lease), found
    return found


def has_to_wait(store: LeaseStore, board: str) -> bool:
    """Whether a board is not to be had now."""
    request = Request((board,))
    found = store.ask(request)
    store.withdraw(request)
    return isinstance(found, Waiting)


def claimed(store: LeaseStore, board: str) -> bool:
    """Whether the farm may work on a board now."""
    (seen,) = [one for one in store.seen().boards if one.board == board]
    return store.claim(board, "the test", seen.revision)


def ended(store: LeaseStore, lease: Lease) -> str:
    """Why a lease is over."""
    (reason,) = [one.reason for one in store.look().ended if one.token == lease.token]
    return reason


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_racing_processes_never_share_a_board(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/farm.sqlite"
    if kind == "postgresql":
        url = request.getfixturevalue("server")
    (tmp_path / "race").mkdir()
    raced = race(url, tmp_path / "race", processes=4, threads=3, boards=3, acquires=400)
    assert raced.witnessed == 0
    assert double_leases(raced.held) == []
    assert len(raced.held) > 20, "nobody got anything"
    assert {one.board for one in raced.held} == {"board0", "board1", "board2"}
    with LeaseStore(url) as store:
        farm = store.look()
        assert farm.leases == ()
        assert {one.verdict for one in farm.boards if one.board.startswith("board")} == {"good"}


def test_a_board_is_given_to_one_and_after_that_to_nobody_before_it_is_proven(
    store: LeaseStore,
) -> None:
    mine = got(store, "a")
    assert mine.key.startswith("a-")
    assert has_to_wait(store, "a")
    assert store.end(mine)
    assert not store.end(mine), "it was over"
    assert has_to_wait(store, "a")
    offer(store, "a")
    assert got(store, "a").token > mine.token


def test_a_former_holder_is_refused_and_has_no_part_in_the_next_lease(store: LeaseStore) -> None:
    first = got(store, "a", ttl_s=0.2)
    assert within(5, lambda: store.look().leases == ())
    offer(store, "a")
    second = got(store, "a")
    assert second.token > first.token
    assert second.key != first.key
    with pytest.raises(LeaseLostError, match="board a: the lease is over: expired"):
        store.beat(first)
    assert not store.end(first)
    assert store.find(second.token, second.secret).board == "a"
    with pytest.raises(LeaseLostError):
        store.find(second.token, first.secret)


def test_beats_keep_a_lease_up_to_its_longest_life(store: LeaseStore) -> None:
    mine = got(store, "a", ttl_s=0.5, longest_s=1.0)
    began_s = time.monotonic()
    with pytest.raises(LeaseLostError, match="over its longest life"):
        while time.monotonic() - began_s < 10:
            mine = store.beat(mine)
            time.sleep(0.05)
    assert ended(store, mine) == "over its longest life"


def test_only_a_board_proven_good_now_is_given(store: LeaseStore) -> None:
    proof = Proof(TRACKER, "key")
    assert claimed(store, "a")
    assert has_to_wait(store, "a")
    store.worse("a", "bad", "it burns")
    with pytest.raises(BoardBusyError, match="a is bad: it burns"):
        take(store, Request(("a",)), 0)
    seen = store.seen().boards[0]
    assert store.proven("a", proof)
    assert not store.claim("a", "what was seen is old", seen.revision)
    mine = got(store, "a")
    assert not claimed(store, "a")
    store.worse("a", "bad", "somebody has it")
    assert store.find(mine.token, mine.secret).key == "key"
    store.end(mine)
    assert not store.proven("a", proof, again=True), "a proof of a server that is gone"


def test_a_proof_that_is_old_is_none(store: LeaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lease", "rows"):
        monkeypatch.setattr(f"edgetvm.farm.leases.{module}.PROOF_AGE_S", 0.0)
    told = "a is unknown: not proven for long: is its daemon up?"
    with pytest.raises(BoardBusyError, match=re.escape(told)):
        take(store, Request(("a",)), 0)
    assert {one["health"] for one in farm_document(store.seen())["boards"]} == {"unknown"}


def test_maintenance_is_ended_by_people_only(store: LeaseStore) -> None:
    mine = got(store, "a")
    store.maintain("a", "a new fan", begins=True)
    assert store.beat(mine).board == "a", "who has it may end his work"
    store.end(mine)
    assert not claimed(store, "a")
    assert not store.proven("a", Proof(TRACKER, "key"))
    assert has_to_wait(store, "a")
    store.maintain("a", "done", begins=False)
    offer(store, "a")
    assert store.look().boards[0].verdict == "good"
    with pytest.raises(NotFoundError, match="its boards: a, b"):
        store.maintain("c", "", begins=True)


def test_a_restart_keeps_leases_and_proves_boards_anew(url: str, store: LeaseStore) -> None:
    mine = got(store, "a")
    with LeaseStore(url) as anew:
        anew.enlist("daemon", [("a", "desk"), ("b", "desk")])
        assert anew.beat(mine).key == mine.key
        assert [one.verdict for one in anew.look().boards] == ["good", "unknown"]
        anew.enlist("daemon", [("b", "desk")])
        with pytest.raises(LeaseLostError, match="taken out of the farm"):
            anew.beat(mine)


def test_the_queue_is_kept_across_boards(store: LeaseStore) -> None:
    holder = got(store, "a")
    got(store, "b")
    low, high = Request(("a", "b")), Request(("a",), priority=1)
    assert isinstance(store.ask(low), Waiting)
    assert isinstance(store.ask(high), Waiting)
    store.end(holder)
    offer(store, "a")
    assert isinstance(store.ask(low, again=True), Waiting), "a is the other's"
    assert isinstance(store.ask(high, again=True), Lease)
    store.withdraw(low)
    assert store.look().waiting == ()


def test_who_asks_no_more_leaves_the_queue(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetvm.farm.leases.rows.SEEN_AGE_S", 0.3)
    holder = got(store, "a")
    assert isinstance(store.ask(Request(("a",), owner="the dead", priority=9)), Waiting)
    store.end(holder)
    offer(store, "a")
    with held(store, Request(("a",)), wait_s=5) as mine:
        mine.check()


def test_a_wait_that_is_in_vain_names_who_has_the_board(store: LeaseStore) -> None:
    got(store, "a", owner="ada@desk")
    with pytest.raises(BoardBusyError, match=r"within 0\.2 s: ada@desk has a for") as caught:
        take(store, Request(("a",)), 0.2)
    assert "--wait" in str(caught.value)
    assert store.look().waiting == ()
    with pytest.raises(BoardBusyError, match=r"no board is free now: ada@desk has a for"):
        take(store, Request(("a",)), 0)
    with pytest.raises(NotFoundError, match="no such board is in the farm: c"):
        take(store, Request(("c",)), 0)


def test_a_heartbeat_keeps_the_board_and_tells_of_the_loss(store: LeaseStore) -> None:
    told: list[LeaseLostError] = []
    with held(store, Request(("a",), ttl_s=0.3), when_lost=told.append) as mine:
        time.sleep(0.8)
        mine.check()
        kicked = store.kick("a", "kicked by the cleaner")
        assert kicked is not None
        assert kicked.token == mine.lease.token
        assert store.kick("a", "once more") is None, "it was over"
        assert within(5, lambda: told)
        with pytest.raises(LeaseLostError, match="kicked by the cleaner"):
            mine.check()
    assert ended(store, mine.lease) == "kicked by the cleaner"


HOLDER = """
import sys, time
from edgetvm.farm.leases import LeaseStore, Request, held
with LeaseStore(sys.argv[1]) as store, held(store, Request(("a",), ttl_s=0.7)) as mine:
    print(mine.lease.words, flush=True)
    while True:
        time.sleep(0.01)
        mine.check()
"""


@pytest.fixture
def holder(url: str, store: LeaseStore) -> Iterator[subprocess.Popen[str]]:
    """A process that has board a, for a second at a time."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def test_a_killed_holders_board_comes_back(
    store: LeaseStore, holder: subprocess.Popen[str]
) -> None:
    time.sleep(1.1)
    (lease,) = store.look().leases
    holder.kill()
    assert within(3, lambda: store.look().leases == ())
    assert ended(store, lease) == "expired"


def test_a_stopped_holder_that_comes_back_is_refused(
    store: LeaseStore, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    assert within(3, lambda: store.look().leases == ())
    offer(store, "a")
    successor = got(store, "a")
    holder.send_signal(signal.SIGCONT)
    assert holder.wait(10) == 1
    assert holder.stderr is not None
    assert "LeaseLostError" in holder.stderr.read()
    assert store.beat(successor).token == successor.token


def test_clocks_that_people_set_do_not_end_leases(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = got(store, "a", ttl_s=30)
    source, real_time = clock._source, time.time
    for jump_s in (3600.0, -3600.0, 3600.0):

        def jumped(connection: object, jump_s: float = jump_s) -> tuple[str, float]:
            anchor, told_s = source(connection)  # type: ignore[arg-type]
            return anchor, told_s + (jump_s if anchor == "server" else 0)

        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda jump_s=jump_s: real_time() + jump_s)
            patch.setattr(clock, "_source", jumped)
            assert store.beat(mine).left_s > 0
    assert store.beat(mine).age_s < 30


def test_after_a_reboot_the_clock_goes_on_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LeaseStore(f"sqlite:///{tmp_path}/farm.sqlite") as store:
        store.enlist("daemon", [("a", "desk")])
        offer(store, "a")
        mine = got(store, "a", ttl_s=5)
        monkeypatch.setattr(clock, "_source", lambda _: ("another boot", 3.0))
        assert store.beat(mine).age_s < 5
        monkeypatch.setattr(clock, "_source", lambda _: ("another boot", 9.0))
        with pytest.raises(LeaseLostError):
            store.beat(mine)


CRASHING = """
import itertools, os, signal, sys
from sqlalchemy import event
from benchmarks.farm.racing import offer
from edgetvm.farm.leases import Lease, LeaseStore, Request
url, at = sys.argv[1], int(sys.argv[2])
with LeaseStore(url) as store:
    count = itertools.count()
    def crash(*_):
        if next(count) == at:
            os.kill(os.getpid(), signal.SIGKILL)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(store._engine, name, crash)
    found = store.ask(Request(("a",), ttl_s=60))
    assert isinstance(found, Lease), found
    store.beat(found)
    store.end(found)
    offer(store, "a")
"""


def test_a_crash_at_any_write_leaves_the_farm_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/farm.sqlite"
    with LeaseStore(url) as store:
        store.enlist("daemon", [("a", "desk")])
        tokens: set[int] = set()
        for at in itertools.count(step=11):
            offer(store, "a")
            done = subprocess.run(
                [sys.executable, "-c", CRASHING, url, str(at)], check=False, timeout=60
            )
            farm = store.look()
            assert len(farm.leases) <= 1
            tokens |= {one.token for one in (*farm.leases, *farm.ended)}
            assert {one.token for one in (*farm.leases, *farm.ended)} == tokens, "one was forgotten"
            if farm.leases:
                assert not claimed(store, "a")
                assert store.kick("a", "the test")
            store.withdraw(Request(("a",)))
            with store._engine.begin() as connection:
                connection.execute(text("DELETE FROM waiting"))
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL
        assert at > 50


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to be taken for one" * 50)
    with pytest.raises(StorageError, match="text: the farm's database cannot be used"):
        LeaseStore(f"sqlite:///{tmp_path}/text")
    for words in ("nonsense", "nosuch://x", "mysql://x/y"):
        with pytest.raises(UsageError, match="names no database"):
            LeaseStore(words)
    with pytest.raises(StorageError, match="cannot be used"):
        LeaseStore("postgresql://farm@/postgres?host=/nonexistent")


def test_who_finds_all_connections_taken_is_told(store: LeaseStore) -> None:
    store._engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    with ExitStack() as taken:
        for _ in range(10):
            taken.enter_context(store._engine.connect())
        with pytest.raises(StorageError, match="cannot be used: QueuePool limit"):
            store.seen()
    assert store.seen()


def test_a_database_of_a_newer_edgetvm_is_refused(store: LeaseStore, url: str) -> None:
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE farm SET format = 99"))
    with pytest.raises(ConfigurationError, match="format 99"):
        LeaseStore(url)


def test_secrets_are_nobody_elses_to_read(tmp_path: Path) -> None:
    with LeaseStore(f"sqlite:///{tmp_path}/farm.sqlite") as store:
        store.enlist("daemon", [])
        assert {one.stat().st_mode & 0o077 for one in tmp_path.iterdir()} == {0}


waiting_lists = st.lists(
    st.builds(
        Waiting,
        number=st.integers(0, 10**6),
        boards=st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True).map(tuple),
        owner=st.just("x"),
        purpose=st.just(""),
        priority=st.integers(-3, 3),
        waited_s=st.floats(0, 1000),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one.number,
)


@given(waiting_lists, st.sets(st.sampled_from("abcd")))
def test_no_board_is_promised_twice_and_none_lies_idle(
    waiting: list[Waiting], free: set[str]
) -> None:
    given_ = {one.number: board_for(one.number, waiting, free) for one in waiting}
    boards = [board for board in given_.values() if board is not None]
    assert len(boards) == len(set(boards))
    assert set(boards) <= free
    for one in waiting:
        if given_[one.number] is None:
            assert not set(one.boards) & (free - set(boards)), "a board lies idle"
        else:
            assert given_[one.number] in one.boards
    first = in_order(waiting)[0]
    assert before(first.number, waiting) == 0
    assert (given_[first.number] is None) == (not free & set(first.boards))


@given(waiting_lists)
def test_who_waits_long_enough_goes_first(waiting: list[Waiting]) -> None:
    patient = Waiting(-1, ("a",), "x", "", -3, 1000 + 7 * AGEING_S)
    assert in_order([*waiting, patient])[0] == patient


def test_of_equals_the_first_comes_first() -> None:
    queue = [Waiting(number, ("a",), "x", "", 0, 0.0) for number in (3, 1, 2)]
    assert [one.number for one in in_order(queue)] == [1, 2, 3]
