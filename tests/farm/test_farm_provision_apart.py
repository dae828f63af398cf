"""Provisioning and a farm: nobody loses a board to it, and nobody is given one meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardBusyError
from edgetvm.farm.leases import Lease, LeaseStore, Proof, Request, Waiting
from edgetvm.farm.leases.lease import VARIABLE
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
    with apart_from_farm("lab-1"):
        assert verdict(store) == "maintenance"
        assert isinstance(store.ask(Request(("lab-1",))), Waiting)
    assert verdict(store) == "unknown"  # until its new server is proven


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
        assert verdict(store) == "maintenance"


def test_an_admins_maintenance_stays_and_that_of_a_killed_run_ends(store: LeaseStore) -> None:
    store.maintain("lab-1", "a new fan", begins=True)
    with apart_from_farm("lab-1"):
        pass
    assert verdict(store) == "maintenance"
    store.maintain("lab-1", "it is provisioned", begins=True)
    with apart_from_farm("lab-1"):
        pass
    assert verdict(store) == "unknown"


def test_a_board_that_no_farm_serves_is_let_be(store: LeaseStore) -> None:
    with apart_from_farm("attic"):
        assert verdict(store) == "good"


def test_without_a_farm_nothing_is_asked(isolated_home: Path) -> None:
    with apart_from_farm("lab-1"):
        pass
    assert not list(isolated_home.rglob("*.sqlite*"))
