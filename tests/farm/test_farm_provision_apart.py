"""Provisioning and a farm: nobody loses a board to it, and nobody is given one meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardBusyError, LeaseLostError
from edgetvm.farm.leases import Lease, LeaseStore, Proof, Request, Waiting
from edgetvm.farm.leases.lease import TTL_S, VARIABLE
from edgetvm.farm.provision.apart import apart_from_farm
from edgetvm.farm.tracker_client import Address


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LeaseStore]:
    """A farm of one board, which was proven good."""
    monkeypatch.setenv("EDGETVM_FARM", f"sqlite:///{tmp_path}/farm.sqlite")
    with LeaseStore(f"sqlite:///{tmp_path}/farm.sqlite") as opened:
        opened.enlist("daemon", [("lab-1", "desk")])
        assert opened.proven("lab-1", Proof(Address("127.0.0.1", 9190), "key"))
        yield opened


def verdict(store: LeaseStore) -> str:
    return store.look().boards[0].verdict


def test_nobody_is_given_the_board_meanwhile(store: LeaseStore) -> None:
    with apart_from_farm("lab-1") as check:
        check()
        (lease,) = store.look().leases
        assert (lease.board, lease.purpose, lease.key) == ("lab-1", "provisioning", None)
        assert isinstance(store.ask(Request(("lab-1",))), Waiting)
        seen = store.seen().boards[0]
        assert not store.claim("lab-1", "the daemon leaves it alone", seen.revision)
        assert not store.worse("lab-1", "bad", "as well")
        assert not store.proven("lab-1", Proof(Address("127.0.0.1", 9190), "key"))
    assert store.look().leases == ()
    assert verdict(store) == "unknown"  # until its new server is proven


def test_a_board_that_is_bad_can_be_mended(store: LeaseStore) -> None:
    store.worse("lab-1", "bad", "edgetvm's program is not there")
    with apart_from_farm("lab-1"):
        assert len(store.look().leases) == 1
    assert verdict(store) == "unknown"


def test_whoever_has_the_board_keeps_it(store: LeaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = store.ask(Request(("lab-1",), owner="ann@desk", purpose="a night's tuning"))
    assert isinstance(lease, Lease)
    with (
        pytest.raises(BoardBusyError, match="ann@desk has it for a night's tuning"),
        apart_from_farm("lab-1"),
    ):
        pytest.fail("it was taken away")
    assert verdict(store) == "good"
    monkeypatch.setenv(VARIABLE, lease.words)
    with apart_from_farm("lab-1"):
        assert store.beat(lease).token == lease.token


def test_an_admins_maintenance_stays(store: LeaseStore) -> None:
    store.maintain("lab-1", "a new fan", begins=True)
    with apart_from_farm("lab-1"):
        pass
    assert verdict(store) == "maintenance"


def test_who_lost_the_board_goes_no_further(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetvm.farm.leases.holding._BEAT_EVERY_S", 0.05)
    with apart_from_farm("lab-1") as check:
        store.kick("lab-1", "the test")
        with pytest.raises(LeaseLostError, match="the test"):
            for _ in range(1000):
                check()
                time.sleep(0.01)


def test_a_run_that_was_killed_gives_the_board_up(store: LeaseStore) -> None:
    code = (
        "import os; from edgetvm.farm.provision.apart import apart_from_farm\n"
        "with apart_from_farm('lab-1'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (lease,) = store.look().leases
    assert 0 < lease.left_s <= lease.ttl_s == TTL_S


def test_a_board_that_no_farm_serves_is_let_be(store: LeaseStore) -> None:
    with apart_from_farm("attic"):
        assert verdict(store) == "good"


def test_without_a_farm_nothing_is_asked(isolated_home: Path) -> None:
    with apart_from_farm("lab-1"):
        pass
    assert not list(isolated_home.rglob("*.sqlite*"))
