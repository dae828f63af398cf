"""Provisioning of a board with a real systemd: the unit, its limits, and the way back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_sshd import until
from systemd_board import SystemdBoard, systemd_board

from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision import Order, Provisioned, provision

pytestmark = pytest.mark.board

_CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
_LEFT = f"find / -xdev -name '*edgetvm*'; grep {LAYOUT.account} /etc/passwd /etc/group"


@pytest.fixture(scope="module")
def with_systemd() -> Iterator[SystemdBoard]:
    with systemd_board() as board:
        yield board


@pytest.fixture(autouse=True)
def kept_cache(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own cache, and a home of the test's own all the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", _CACHE)


@pytest.fixture
def board(with_systemd: SystemdBoard) -> Iterator[SystemdBoard]:
    """The board, with nothing of edgetvm on it; and nothing is left there afterwards."""
    assert with_systemd.run(_LEFT) == ""
    yield with_systemd
    outcome = provision([with_systemd.board], Order(remove=True, accept_new_host_key=True))
    assert outcome["with-systemd"].error is None
    assert with_systemd.run(_LEFT) == ""
    assert "could not be found" in with_systemd.run(f"systemctl status {LAYOUT.service}")


def made_ready(board: SystemdBoard) -> Provisioned:
    outcome = provision([board.board], Order(accept_new_host_key=True))["with-systemd"]
    assert outcome.value is not None, outcome.error
    return outcome.value


def test_the_service_is_up_with_its_limits_and_stays_so(board: SystemdBoard) -> None:
    # A session, and a kernel that is sent and run, are part of it.
    assert made_ready(board).changes > 0
    assert made_ready(board).changes == 0
    told = board.run(f"systemctl show {LAYOUT.service} -p ActiveState,UnitFileState,User,TasksMax")
    assert set(told.splitlines()) == {
        "ActiveState=active",
        "UnitFileState=enabled",
        f"User={LAYOUT.account}",
        "TasksMax=512",
    }
    pid = board.run(f"systemctl show {LAYOUT.service} -p MainPID --value")
    status = board.run(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    inside = f"nsenter -t {pid} -m -- sh -c"
    assert "Read-only file system" in board.run(f"{inside} 'touch /opt/edgetvm/x'")
    assert board.run(f"{inside} 'touch {LAYOUT.sessions}/x && rm {LAYOUT.sessions}/x'") == ""
    board.run(f"kill -9 {pid}")
    assert until(lambda: board.run(f"systemctl is-active {LAYOUT.service}") == "active")
    assert made_ready(board).changes == 0


def test_the_unit_before_comes_back_with_its_release(
    board: SystemdBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ready(board)
    unit = board.run(f"cat {LAYOUT.unit_file}")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'edgetvm-board: I do not run here' >&2; exit 1\n")
    with monkeypatch.context() as patch:
        patch.setattr("edgetvm.farm.provision.release._START_DEADLINE_S", 2)
        patch.setattr("edgetvm.farm.provision.one_board.board_program", lambda _: program)
        outcome = provision([board.board])["with-systemd"]
    assert "it says: I do not run here" in str(outcome.error)
    assert "it is back on what was there before" in str(outcome.error)
    assert board.run(f"cat {LAYOUT.unit_file}") == unit
    assert [step.why for step in made_ready(board).steps if step.why] != []
    assert made_ready(board).changes == 0
