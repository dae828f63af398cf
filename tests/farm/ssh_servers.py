"""OpenSSH servers that tests share or break, and OpenSSH's own programs beside them."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_sshd import PROGRAM, Sshd

from edgetvm.farm import Board
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login
from edgetvm.farm.ssh import Deadlines

SHORT = Deadlines(connect_s=1, banner_s=0.5, keys_s=1, login_s=1, channel_s=0.5, proof_s=0.5)
USER = getpass.getuser()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6DvXpDTVKAPAZAz6UHC0C3AzkNeYYn4uCwWFtoAbQF"
# Of each module that needs a server.
needs_sshd = pytest.mark.skipif(
    PROGRAM is None, reason="there is no sshd (apt-get install openssh-server)"
)


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for tests that leave it as it is."""
    sshd = Sshd(tmp_path_factory.mktemp("sshd") / "shared").start()
    yield sshd
    sshd.stop()


@pytest.fixture
def sshd(shared_sshd: Sshd, isolated_home: Path) -> Sshd:
    """The shared server, its host key known."""
    shared_sshd.know()
    return shared_sshd


@pytest.fixture
def own_sshd(tmp_path: Path, isolated_home: Path) -> Iterator[Sshd]:
    """A server for a test that breaks it, its host key known."""
    sshd = Sshd(tmp_path / "sshd").start()
    sshd.know()
    yield sshd
    sshd.stop()


def address_of(host: str, port: int) -> Board:
    return Board("kitchen", "local", login=Login(Hop(host, port, USER)))


def keygen(*words: str | Path) -> int:
    """OpenSSH's own reading and writing of keys: its exit code."""
    return subprocess.run(["ssh-keygen", *words], capture_output=True, check=False).returncode


def in_batch(words: list[str]) -> subprocess.CompletedProcess[str]:
    """OpenSSH's client, which must ask nothing."""
    return subprocess.run(
        [words[0], "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
