"""Provisioning of real boards: emulated ones, with everything that befalls boards meanwhile."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import emulated_boards
import pytest
from emulated_boards import know
from real_sshd import until

from edgetvm.base.errors import (
    BoardError,
    BoardStorageError,
    BoardUnreachableError,
    ConfigurationError,
    HostKeyError,
)
from edgetvm.farm.emulating import Conditions, EmulatedBoard
from edgetvm.farm.emulating.faults import link_impaired
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision import Order, Provisioned, provision
from edgetvm.farm.provision.session_proof import probe_kernel, prove_session
from edgetvm.farm.ssh import Connection, Tunnels
from edgetvm.farm.together import Outcome

pytestmark = pytest.mark.board

_STAYS = {"/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}
REMOVE = Order(remove=True)
# Userlands take a minute to make: they stay where the user has them.
_CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
# What systems write by themselves, what is no file, and what accounts' programs leave for good.
_NOT_COMPARED = " -o ".join(
    f"-path {path}" for path in ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/run")
)


_CLIENT = """
import sys
import threading
from tvm import rpc
remote = rpc.connect("127.0.0.1", int(sys.argv[1]), sys.argv[2], session_timeout=20)
remote.upload(bytearray(b"bytes"), "file")
assert bytes(remote.download("file")) == b"bytes"
"""


@pytest.fixture(autouse=True)
def kept_cache(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own cache, and a home of the test's own all the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", _CACHE)


@pytest.fixture(scope="module")
def pair() -> Iterator[list[EmulatedBoard]]:
    with emulated_boards.boards(2) as boards:
        yield boards


@pytest.fixture
def boards(pair: list[EmulatedBoard]) -> Iterator[list[EmulatedBoard]]:
    """Two boards that nothing was done to."""
    for board in pair:
        know(board)
    yield pair
    order = Order(remove=True, accept_new_host_key=True)
    for outcome in provision([board.board for board in pair], order).values():
        assert outcome.error is None, outcome.error


@pytest.fixture
def board(boards: list[EmulatedBoard]) -> EmulatedBoard:
    """One of them."""
    return boards[0]


def made_ready(board: EmulatedBoard, **keys: Any) -> Provisioned:
    """The board after a run that went well."""
    name = board.name
    outcome = provision([replace(board.board, **keys)])[name]
    assert outcome.value is not None, outcome.error
    return outcome.value


def error_of(outcome: Outcome[Provisioned]) -> str:
    assert outcome.error is not None
    return str(outcome.error)


def shell(board: EmulatedBoard, text: str) -> str:
    """What a shell of the board's root says."""
    return board.run("sh", "-c", text).strip()


def files_of(board: EmulatedBoard) -> set[str]:
    listed = shell(board, f"find / \\( {_NOT_COMPARED} \\) -prune -o -print")
    accounts = shell(board, "cat /etc/passwd /etc/group /etc/shadow /etc/inittab")
    groups = shell(board, "find /sys/fs/cgroup -name 'edgetvm*'; ls /run | grep edgetvm; true")
    return {*listed.splitlines(), *accounts.splitlines(), *groups.splitlines()} - _STAYS


def server_of(board: EmulatedBoard) -> list[str]:
    """PID, account and command of each process that is of edgetvm."""
    told = shell(board, "ps -eo pid,user,args | grep '[/]opt/edgetvm' || true")
    return told.splitlines()


def key_of(board: EmulatedBoard) -> str:
    return shell(board, f"cat {LAYOUT.key_file}")


def answers(board: EmulatedBoard, key: str | None = None) -> str:
    """The version that the board's server tells in a session."""
    with Connection(board.board) as connection:
        probe = probe_kernel(board.architecture).read_bytes()
        return prove_session(connection, board.board.server_port, key or key_of(board), probe)


def program_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have another program in the place of the board's."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    monkeypatch.setattr("edgetvm.farm.provision.one_board.board_program", lambda _: path)


def test_boards_are_made_ready_and_a_second_run_changes_nothing(
    boards: list[EmulatedBoard],
) -> None:
    untouched = files_of(boards[0])
    wanted = [board.board for board in boards]
    planned = provision(wanted, Order(dry_run=True))
    assert files_of(boards[0]) == untouched
    done = provision(wanted)
    assert list(done) == [board.name for board in boards]
    for board in boards:
        first, plan = done[board.name].value, planned[board.name].value
        assert first is not None
        assert plan is not None
        assert first.steps == plan.steps
        assert [step.title for step in plan.steps if step.state == "unknown"] == [
            "a session with it goes well"
        ]
        assert answers(board)
    for outcome in provision(wanted).values():
        assert outcome.value is not None, outcome.error
        assert outcome.value.changes == 0
        assert {step.state for step in outcome.value.steps} == {"no change"}


def test_the_stock_client_is_let_in_with_the_key(board: EmulatedBoard) -> None:
    made_ready(board)
    with Connection(board.board) as connection, Tunnels(connection) as tunnels:
        port = tunnels.to_board(board.board.server_port)
        # In a process of its own: it holds Python's lock while it waits, and the tunnel is Python.
        done = subprocess.run(
            [sys.executable, "-c", _CLIENT, str(port), key_of(board)], timeout=60, check=False
        )
    assert done.returncode == 0
    with pytest.raises(BoardError, match="refuses the key"):
        answers(board, "0" * 32)


def test_the_server_is_nobody_and_its_files_are_roots(board: EmulatedBoard) -> None:
    made_ready(board)
    lines = [line for line in server_of(board) if " serve " in line]
    assert [line.split()[1] for line in lines] == [LAYOUT.account]
    pid = lines[0].split()[0]
    status = shell(board, f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert f":/{LAYOUT.cgroup}" in shell(board, f"cat /proc/{pid}/cgroup").replace("memory:/", ":/")
    assert shell(board, f"grep ^{LAYOUT.account}: /etc/passwd").endswith("/nologin")
    for path in (LAYOUT.folder, LAYOUT.program, LAYOUT.server, LAYOUT.state, LAYOUT.key_file):
        found = (board.root / path.lstrip("/")).lstat()
        assert found.st_uid == 0
        assert not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or stat.S_ISLNK(found.st_mode)
    # The key is for root and the server; what others log in with cannot read it.
    assert stat.S_IMODE((board.root / LAYOUT.key_file.lstrip("/")).stat().st_mode) == 0o640
    assert "127.0.0.1:9090" in shell(board, "netstat -ltn 2>/dev/null || ss -ltn")


def test_nothing_is_left_behind(board: EmulatedBoard) -> None:
    before = files_of(board)
    made_ready(board)
    assert files_of(board) > before
    removed = provision([board.board], REMOVE)[board.name].value
    assert removed is not None
    assert removed.changes == len(removed.steps)
    assert files_of(board) == before
    assert server_of(board) == []
    again = provision([board.board], REMOVE)[board.name].value
    assert again is not None
    assert again.changes == 0


class _Stopped(BaseException):
    """The host's process ends here."""


def test_a_run_that_was_stopped_anywhere_is_gone_on_with(board: EmulatedBoard) -> None:
    turns: list[int] = []
    provision([board.board], told=lambda _, done, *rest: turns.append(done))
    *stops, steps = turns
    assert len(stops) == 3
    for stop_at in stops[1:]:
        provision([board.board], REMOVE)

        def told(name: str, done: int, total: int, title: str, stop_at: int = stop_at) -> None:
            if done == stop_at:
                raise _Stopped

        with pytest.raises(_Stopped):
            provision([board.board], told=told)
        assert made_ready(board).changes == steps - stop_at
        assert made_ready(board).changes == 0


def test_a_board_that_restarts_meanwhile_is_gone_on_with(board: EmulatedBoard) -> None:
    restart = threading.Timer(0.1, board.reboot)

    def told(name: str, done: int, total: int, title: str) -> None:
        if done == 0:
            restart.start()

    with link_impaired(board, delay_ms=60):
        outcome = provision([board.board], told=told)[board.name]
        restart.join()
    assert isinstance(outcome.error, ConnectionError), outcome
    assert made_ready(board).changes > 0
    assert answers(board)


def test_the_server_comes_back_after_a_restart_of_the_board(board: EmulatedBoard) -> None:
    made_ready(board)
    board.reboot()
    assert until(lambda: any(" serve " in line for line in server_of(board)))
    assert until(lambda: _is_answering(board))
    assert made_ready(board).changes == 0


def _is_answering(board: EmulatedBoard) -> bool:
    try:
        return bool(answers(board))
    except BoardError:
        return False


def test_a_server_that_dies_is_started_again(board: EmulatedBoard) -> None:
    made_ready(board)
    shell(board, "pkill -9 -f '[e]dgetvm-board serve'")
    assert until(lambda: _is_answering(board))
    # The one who watches over it is missed, too.
    shell(board, "pkill -9 -f '[s]erver watch'")
    done = made_ready(board)
    assert [step.why for step in done.steps if step.title == "server runs"] == [
        "nothing watches over it"
    ]
    assert answers(board)
    assert len([line for line in server_of(board) if " serve " in line]) == 1


def test_what_sessions_leave_behind_ends_with_the_server(board: EmulatedBoard) -> None:
    made_ready(board)
    stray = "setsid sleep 1000 >/dev/null 2>&1 &"
    shell(board, f"setsid su -s /bin/sh {LAYOUT.account} -c '{stray}' </dev/null")
    assert shell(board, "pgrep -f 'sleep 1000'")
    shell(board, f"{LAYOUT.server} stop")
    assert shell(board, "pgrep -f 'sleep [1]000' || echo none") == "none"
    assert server_of(board) == []


def test_a_new_key_cuts_off_whoever_has_the_old_one(board: EmulatedBoard) -> None:
    made_ready(board)
    old = key_of(board)
    told = shell(board, f"{LAYOUT.server} new-key")
    assert told == key_of(board) != old
    assert answers(board)
    with pytest.raises(BoardError, match="refuses the key"):
        answers(board, old)
    assert made_ready(board).changes == 0


def test_logs_do_not_fill_the_disk(board: EmulatedBoard) -> None:
    made_ready(board)
    log = board.root / LAYOUT.log_file.lstrip("/")
    log.write_text("x" * (1 << 20))
    shell(board, "pkill -9 -f '[e]dgetvm-board serve'")
    assert until(Path(f"{log}.1").exists)
    assert not log.exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'edgetvm-board: I do not run here' >&2; exit 1", "I do not run here"),
        ("exec nc -ll -p 9090 127.0.0.1 -e /bin/echo", "a session with its server fails"),
    ],
)
def test_a_board_goes_back_to_the_runtime_before(
    board: EmulatedBoard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    reason: str,
) -> None:
    monkeypatch.setattr("edgetvm.farm.provision.release._START_DEADLINE_S", 4)
    with monkeypatch.context() as patch:
        program_that(tmp_path, patch, script)
        outcome = provision([board.board])[board.name]
        assert reason in error_of(outcome)
        assert "no server runs there, as before" in error_of(outcome)
        assert server_of(board) == []
    made_ready(board)
    current = shell(board, f"readlink {LAYOUT.current}")
    with monkeypatch.context() as patch:
        program_that(tmp_path, patch, script)
        outcome = provision([board.board])[board.name]
        assert reason in error_of(outcome)
        assert f"it is back on what was there before, release {current[-12:]}" in error_of(outcome)
    assert shell(board, f"readlink {LAYOUT.current}") == current
    assert answers(board)
    assert made_ready(board).changes == 1  # the release that did not do is removed


def test_only_the_release_before_is_kept(board: EmulatedBoard) -> None:
    for port in (9090, 9091, 9092):
        made_ready(board, server_port=port)
    releases = shell(board, f"ls {LAYOUT.releases}").split()
    assert len(releases) == 2
    assert shell(board, f"readlink {LAYOUT.current}")[-12:] in releases
    assert made_ready(board, server_port=9091).changes > 0


def test_a_port_that_another_program_has_is_told(board: EmulatedBoard) -> None:
    shell(board, "setsid nc -ll -p 9090 127.0.0.1 -e /bin/cat </dev/null >/dev/null 2>&1 &")
    try:
        outcome = provision([board.board])[board.name]
        assert "give it another `server_port`" in error_of(outcome)
    finally:
        shell(board, "pkill nc")


def test_one_board_that_fails_holds_nobody_up(boards: list[EmulatedBoard]) -> None:
    boards[1].stop()
    try:
        done = provision([board.board for board in boards])
    finally:
        boards[1].start()
    assert done[boards[0].name].value is not None
    assert isinstance(done[boards[1].name].error, BoardUnreachableError)


def test_an_unknown_host_key_is_refused_unless_it_is_accepted(
    board: EmulatedBoard, isolated_home: Path
) -> None:
    (isolated_home / ".ssh/known_hosts").unlink()
    outcome = provision([board.board])[board.name]
    assert isinstance(outcome.error, HostKeyError)
    outcome = provision([board.board], Order(accept_new_host_key=True))[board.name]
    assert outcome.error is None


@pytest.mark.parametrize(
    ("conditions", "kind", "words"),
    [
        (Conditions(sudo=False), BoardError, "provisioning needs root there, and sudo says: "),
        (Conditions(read_only=True), BoardStorageError, "its file system is read-only"),
        (Conditions(disk_bytes=128 << 10), BoardStorageError, "its disk is full"),
        (Conditions(musl=True), BoardError, "it has neither useradd nor adduser"),
    ],
)
def test_boards_that_cannot_take_it_say_why(
    conditions: Conditions, kind: type[BoardError], words: str, session_cache: Path
) -> None:
    with emulated_boards.boards(1, conditions=conditions) as (board,):
        know(board)
        outcome = provision([board.board])[board.name]
        assert type(outcome.error) is kind
        assert words in str(outcome.error)
        assert server_of(board) == []


def test_programs_need_not_run_from_tmp() -> None:
    with emulated_boards.boards(1, conditions=Conditions(noexec_tmp=True)) as (board,):
        know(board)
        made_ready(board)
        assert answers(board)


_ONLY_BUSYBOX = """
for name in $(busybox --list); do
    for folder in /usr/bin /usr/sbin; do
        [ ! -e "$folder/$name" ] || ln -sf /usr/bin/busybox "$folder/$name"
    done
done
"""


def test_busybox_is_enough() -> None:
    # Debian's has no commands for accounts: those stay.
    with emulated_boards.boards() as (board,):
        know(board)
        shell(board, _ONLY_BUSYBOX)
        before = files_of(board)
        made_ready(board)
        assert answers(board)
        assert made_ready(board).changes == 0
        shell(board, f"{LAYOUT.server} new-key")
        assert answers(board)
        assert provision([board.board], REMOVE)[board.name].error is None
        assert files_of(board) == before
        assert server_of(board) == []


def test_control_groups_of_the_second_version_serve_as_well() -> None:
    with emulated_boards.boards() as (board,):
        know(board)
        shell(board, "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        made_ready(board)
        (line,) = [line for line in server_of(board) if " serve " in line]
        group = f"/sys/fs/cgroup/{LAYOUT.cgroup}"
        assert line.split()[0] in shell(board, f"cat {group}/cgroup.procs").split()
        assert made_ready(board).changes == 0
        assert provision([board.board], REMOVE)[board.name].error is None
        assert shell(board, f"ls -d {group} 2>/dev/null || echo gone") == "gone"


@pytest.mark.parametrize("architecture", ["aarch64", "armv7l"])
def test_every_architecture_is_served(architecture: str) -> None:
    with emulated_boards.boards(1, architecture) as (board,):
        know(board)
        made_ready(board)
        assert answers(board)
        assert made_ready(board).changes == 0


def test_a_board_without_ssh_is_told(boards: list[EmulatedBoard]) -> None:
    outcome = provision([replace(boards[0].board, login=None)])[boards[0].name]
    assert isinstance(outcome.error, ConfigurationError)
