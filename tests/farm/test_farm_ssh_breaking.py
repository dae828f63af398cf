"""SSH connections that freeze, break and come back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_sshd import Sshd
from ssh_servers import SHORT, needs_sshd

from edgetvm.base.errors import BoardError, BoardGoneError, BoardTimeoutError, BoardUnreachableError
from edgetvm.farm.ssh import Connection, Deadlines

pytestmark = needs_sshd


def test_an_sshd_that_is_frozen_and_wakes(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        connection.deadlines = SHORT
        own_sshd.signal_all(signal.SIGSTOP)
        with pytest.raises(BoardTimeoutError, match=r"within 0\.5 s while running"):
            connection.run("echo on", deadline_s=0.5)
        with pytest.raises(BoardUnreachableError, match="did not say that it speaks SSH"):
            Connection(own_sshd.board(), SHORT).run("true", deadline_s=5)
        own_sshd.signal_all(signal.SIGCONT)
        connection.deadlines = Deadlines()
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_board_that_reads_no_more_holds_nobody_up(own_sshd: Sshd) -> None:
    """All that fits on the way is there, and nothing more can be sent: not even a farewell."""
    with Connection(own_sshd.board()) as connection, ThreadPoolExecutor(1) as pool:
        connection.transport()
        own_sshd.signal_all(signal.SIGSTOP)
        big = pool.submit(connection.run, "cat", deadline_s=3, stdin=bytes(32 << 20))
        with pytest.raises(BoardError):
            connection.run("echo on", deadline_s=1)
        with pytest.raises((BoardTimeoutError, BoardGoneError)):
            big.result(60)
        own_sshd.signal_all(signal.SIGCONT)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_connection_that_broke_comes_back(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        killer = threading.Timer(0.3, own_sshd.kill_sessions)
        killer.start()
        with pytest.raises(BoardGoneError, match=r"the connection broke while running a command"):
            connection.run("sleep 60", deadline_s=30)
        assert connection.run("echo again", deadline_s=20).out == b"again\n"


@pytest.fixture
def board_on_a_cable(tmp_path: Path, isolated_home: Path) -> Iterator[tuple[Sshd, str]]:
    """A server in a network of its own, and the command prefix that runs something there."""
    ip = shutil.which("ip", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    name = f"et{os.getpid()}"

    def do(*words: str) -> int:
        return subprocess.run([str(ip), *words], capture_output=True, check=False).returncode

    if ip is None or do("netns", "add", name):
        pytest.skip("this user may not make network namespaces")
    try:
        # RFC 2544's range for tests of networks.
        made = [
            do("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name),
            do("addr", "add", "198.18.77.1/30", "dev", name),
            do("link", "set", name, "up"),
            do("-n", name, "addr", "add", "198.18.77.2/30", "dev", "eth0"),
            do("-n", name, "link", "set", "eth0", "up"),
        ]
        if any(made):
            pytest.skip("this machine makes no pairs of network devices")
        inside = (ip, "netns", "exec", name)
        sshd = Sshd(tmp_path / "far", address="198.18.77.2", inside=inside).start()
        sshd.know()
        yield sshd, name
        sshd.stop()
    finally:
        do("netns", "del", name)


def test_a_pulled_cable(board_on_a_cable: tuple[Sshd, str]) -> None:
    """Nothing says goodbye: this machine's kernel finds out by probes."""
    sshd, name = board_on_a_cable

    def plug(state: str) -> None:
        command = ["ip", "-n", name, "link", "set", "eth0", state]
        subprocess.run(command, check=True, env={"PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"})

    with Connection(sshd.board(), Deadlines(silence_s=3, connect_s=2)) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        threading.Timer(0.3, plug, ["down"]).start()
        with pytest.raises(BoardGoneError, match="the connection broke while running a command"):
            connection.run("sleep 60", deadline_s=60)
        with pytest.raises(BoardUnreachableError, match=r"nothing answered at|no route to"):
            connection.run("echo on", deadline_s=20)
        plug("up")
        connection.deadlines = Deadlines()
        assert connection.run("echo again", deadline_s=20).out == b"again\n"


def test_an_idle_connection_is_proven_before_it_is_used(own_sshd: Sshd) -> None:
    """Frozen sessions answer no more, and nothing tells; a new connection gets through."""
    connection = Connection(own_sshd.board(), Deadlines(idle_s=0, proof_s=0.5))
    with connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        for process in own_sshd.processes():
            process.suspend()
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
    own_sshd.signal_all(signal.SIGCONT)
