"""Commands over SSH: how they end, and what goes both ways."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_sshd import Sshd
from ssh_servers import USER, needs_sshd

from edgetvm.base.errors import BoardError, BoardTimeoutError
from edgetvm.farm import Board
from edgetvm.farm.asking import facts_of
from edgetvm.farm.ssh import Connection

pytestmark = needs_sshd


def test_a_command_ends_with_code_and_words(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        answer = connection.run("echo out; echo 'err or' >&2; exit 7", deadline_s=20)
        assert (answer.exit_code, answer.out, answer.err) == (7, b"out\n", b"err or\n")
        assert answer.last_words == "err or"
        assert connection.run("echo \"$0\" '$HOME'", deadline_s=20).out == b"/bin/sh $HOME\n"
        assert connection.prove_alive() > 0


def test_much_goes_both_ways_at_once(sshd: Sshd) -> None:
    data = os.urandom(3 << 20)
    with Connection(sshd.board()) as connection:
        answer = connection.run("tee /dev/stderr", deadline_s=60, stdin=data)
        assert answer.out == answer.err == data
        # A command that reads nothing of it ends all the same.
        assert connection.run("exit 3", deadline_s=60, stdin=data).exit_code == 3


def test_what_never_ends_is_cut(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetvm.farm.ssh.connection._MOST_BYTES", 1 << 20)
    with Connection(sshd.board()) as connection:
        for command in ("cat /dev/zero", "cat /dev/zero >&2"):
            with pytest.raises(BoardError, match="board kitchen: it sends more than 1 MB"):
                connection.run(command, deadline_s=30)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_many_share_one_connection(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection, ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda one: connection.run(f"echo {one}", deadline_s=60).out, range(24))
        )
    assert answers == [f"{one}\n".encode() for one in range(24)]
    assert (own_sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_a_command_that_is_late_costs_only_itself(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardTimeoutError, match=r"board kitchen: .*within 0.5 s while running"):
            connection.run("sleep 60", deadline_s=0.5)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_command_that_is_killed(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardError, match="the command was killed there"):
            connection.run("kill -9 $$", deadline_s=20)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_facts_over_ssh_are_this_machines(sshd: Sshd) -> None:
    over_ssh, here = facts_of(sshd.board()), facts_of(Board("local", "local"))
    assert over_ssh.machine.cores[0].flags == here.machine.cores[0].flags
    assert over_ssh.boot_id == here.boot_id
    assert over_ssh.user == USER
