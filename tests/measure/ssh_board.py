"""A board that only SSH leads to: a real server on loopback, with this machine's programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_sshd import PROGRAM, Sshd

from edgetvm.farm import Board


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The server."""
    if PROGRAM is None:
        pytest.skip("there is no sshd (apt-get install openssh-server)")
    sshd = Sshd(tmp_path_factory.mktemp("sshd") / "server").start()
    yield sshd
    sshd.stop()


@pytest.fixture
def ssh_board(
    server: Sshd, isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Board:
    """The board. Its Python is that of the tests, and what is brought lies in the test's folder."""
    server.know()
    monkeypatch.setattr("edgetvm.measure.board_python.PROGRAM", sys.executable)
    monkeypatch.setattr("edgetvm.measure.bringing._PLACE", str(tmp_path / "brought"))
    return server.board()
