"""Emulated boards: what they are, what they lack, and that nothing of them is left."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import emulated_boards
import psutil
import pytest
from emulated_boards import findings_of, know
from real_sshd import until

from edgetvm.base.errors import BoardError, MissingToolError
from edgetvm.base.paths import cache_folder
from edgetvm.farm.asking import facts_of
from edgetvm.farm.emulating import Conditions, EmulatedBoard
from edgetvm.farm.emulating.binfmt import needed_programs
from edgetvm.farm.emulating.caller import hand_over_cache
from edgetvm.farm.emulating.inventory_of import written_inventory
from edgetvm.farm.emulating.leftovers import GROUPS_FOLDER, RUN_FOLDER, remove_leftovers
from edgetvm.farm.emulating.needs import require_programs
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Board, Login
from edgetvm.farm.powering import set_power
from edgetvm.farm.ssh import Connection, Deadlines

_HOLDER = """
import sys
from edgetvm.farm.emulating import emulated_boards
with emulated_boards(2, prefix="held") as boards:
    boards[0].run("sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
    print(boards[0].pid, boards[0].address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[list[EmulatedBoard]]:
    """Two boards that tests leave as they are."""
    with emulated_boards.boards(2) as boards:
        yield boards


@pytest.fixture
def shared(pair: list[EmulatedBoard], isolated_home: Path) -> list[EmulatedBoard]:
    """The two boards, their host keys known."""
    for board in pair:
        know(board)
    return pair


def said(board: Board, command: str) -> str:
    with Connection(board) as connection:
        answer = connection.run(command, deadline_s=30)
    return (answer.out + answer.err).decode()


def test_each_is_a_machine_of_its_own(shared: list[EmulatedBoard]) -> None:
    first, second = shared
    words = "hostname; id -un; sudo -n id -un; uname -m; ps -e | wc -l"
    answers = said(first.board, words).split()
    assert answers[:4] == ["emulated-1", "debian", "root", os.uname().machine]
    assert int(answers[4]) < 15
    assert facts_of(first.board).boot_id != facts_of(second.board).boot_id
    assert findings_of(first) == []
    said(first.board, "echo mine >~/file")
    assert "No such file" in said(second.board, "cat ~/file")


def test_a_board_s_root_does_not_have_this_machine(shared: list[EmulatedBoard]) -> None:
    command = "grep CapBnd /proc/self/status"
    for status in (said(shared[0].board, f"sudo {command}"), shared[0].run(*command.split())):
        allowed = int(status.split()[1], 16)
        for number in (16, 17, 25, 27, 34):  # module, rawio, time, mknod, syslog
            assert not allowed >> number & 1
    assert "Operation not permitted" in said(shared[0].board, "sudo mknod /tmp/disk b 254 0")


def test_one_leads_to_another(shared: list[EmulatedBoard]) -> None:
    first, second = shared
    login = second.board.login
    assert login is not None
    jump = (Hop(first.address, user="debian"),)
    behind = Board("behind", "x86-avx2", login=Login(login.hop, jump, key_file=login.key_file))
    assert first.address in said(behind, "echo $SSH_CONNECTION")


def test_a_reboot_is_one() -> None:
    with emulated_boards.boards() as (board,):
        know(board)
        before = facts_of(board.board).boot_id
        said(board.board, "touch ~/kept /tmp/lost; sleep 1000 >/dev/null 2>&1 &")
        board.reboot()
        assert facts_of(board.board).boot_id != before
        assert said(board.board, "ls ~ /tmp; pidof sleep").split() == [
            "/home/debian:",
            "kept",
            "/tmp:",
        ]
        # From the inside, too, as init and kernel have it.
        before, pid = facts_of(board.board).boot_id, board.pid
        with (
            Connection(board.board, deadlines=Deadlines(silence_s=4)) as connection,
            pytest.raises(BoardError, match="the connection broke"),
        ):
            connection.run("sudo reboot -f; sleep 60", deadline_s=30)
        assert until(lambda: board.pid not in (0, pid))
        board.start()
        assert facts_of(board.board).boot_id != before
        said(board.board, "nohup sudo poweroff -f >/dev/null 2>&1 &")
        assert until(lambda: board.pid == 0)
        assert set_power(board.board, "status") == "off"
        assert set_power(board.board, "on") == "on"
        board.start()
        assert said(board.board, "cat ~/kept") == ""


@pytest.mark.parametrize(
    ("conditions", "command", "words"),
    [
        (Conditions(sudo=False), "sudo -n true", "a password is required"),
        (
            Conditions(noexec_tmp=True),
            "printf '#!/bin/sh\\n' >/tmp/it; chmod +x /tmp/it; /tmp/it",
            "Permission denied",
        ),
        (Conditions(read_only=True), "echo >~/file", "Read-only file system"),
        (Conditions(disk_bytes=1 << 20), "head -c 2M /dev/zero >~/file", "No space left"),
        (Conditions(memory_bytes=32 << 20), "head -c 64M /dev/zero | tail -c 64M >&-", "Killed"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_what_a_board_lacks(conditions: Conditions, command: str, words: str) -> None:
    with emulated_boards.boards(1, conditions=conditions) as (board,):
        know(board)
        assert words in said(board.board, f"sh -c '{command}'" if "'" not in command else command)


def test_the_host_key_comes_back() -> None:
    with emulated_boards.boards() as (board,):
        know(board)
        address = board.address
    with emulated_boards.boards() as (board,):
        assert board.address == address
        assert facts_of(board.board).user == "debian"


def left(number: str) -> list[object]:
    """What there is of a lab: processes, link, folder, control groups."""
    link = f"edgetvm{number}"
    return [
        *(one.pid for one in psutil.process_iter() if f"/{number}/held-" in environment(one)),
        *Path("/sys/class/net").glob(link),
        *RUN_FOLDER.glob(number),
        *GROUPS_FOLDER.glob(f"*/{link}-*"),
    ]


def environment(process: psutil.Process) -> str:
    try:
        return process.environ().get("folder", "")
    except psutil.Error:
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(number: signal.Signals) -> None:
    with emulated_boards.boards(0):
        pass  # it says what is missing
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **dict([emulated_boards.CACHE])},
    )
    assert holder.stdout is not None
    pid, address = holder.stdout.readline().split()
    lab = address.split(".")[2]
    processes = [psutil.Process(int(pid)), *psutil.Process(int(pid)).children(recursive=True)]
    assert len(processes) >= 3
    assert len(left(lab)) > 3
    holder.send_signal(number)
    holder.wait(30)
    assert until(lambda: not any(one.is_running() for one in processes))
    if number == signal.SIGKILL:
        # The kernel takes down what is its own; folders are left to the next.
        assert until(lambda: not Path(f"/sys/class/net/edgetvm{lab}").exists())
        remove_leftovers()
    assert left(lab) == []


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingToolError, match="which only root may make"):
        require_programs()
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(
        MissingToolError, match=r"cannot be emulated without .*mmdebstrap"
    ) as caught:
        require_programs(needed_programs("aarch64"))
    assert str(caught.value.mend).startswith("apt-get install arch-test iproute2 mmdebstrap")
    assert "qemu-user-static" in str(caught.value.mend)


def test_with_sudo_the_user_can_log_in(
    isolated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that called it: key, inventory and the cache's folders are that user's."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    with emulated_boards.boards() as (board,):
        assert board.login.key_file is not None
        assert board.login.key_file.stat().st_uid == nobody.pw_uid
        with written_inventory([board], tmp_path / "boards.yaml"):
            assert (tmp_path / "boards.yaml").stat().st_uid == nobody.pw_uid
    made = [isolated_home / ".cache", cache_folder(), cache_folder() / "userland"]
    made[-1].mkdir(parents=True)
    # A user's link leads nowhere that root's command would go.
    (cache_folder() / "elsewhere").symlink_to(isolated_home, target_is_directory=True)
    hand_over_cache()
    assert {one.stat().st_uid for one in made} == {0}
    home = list(nobody)
    home[5] = str(isolated_home)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(home))
    hand_over_cache()
    assert {one.stat().st_uid for one in made} == {nobody.pw_uid}
    assert isolated_home.stat().st_uid == 0
