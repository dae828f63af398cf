"""What befalls boards, on emulated ones, caused for real: each is told apart, and nobody waits."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import emulated_boards
import pytest
from emulated_boards import findings_of, know
from real_command import edgetvm, refused
from real_sshd import until

from edgetvm.base.errors import (
    BoardGoneError,
    BoardStorageError,
    BoardTimeoutError,
    BoardUnreachableError,
    HostKeyError,
)
from edgetvm.farm.asking import facts_of
from edgetvm.farm.emulating import EmulatedBoard, faults
from edgetvm.farm.emulating.inventory_of import inventory_text
from edgetvm.farm.rekeying import rekey
from edgetvm.farm.ssh import Connection, Deadlines, upload

SHORT = Deadlines(connect_s=1, banner_s=1, keys_s=5, login_s=5, channel_s=1, proof_s=1, silence_s=4)


@pytest.fixture(scope="module")
def shared() -> Iterator[EmulatedBoard]:
    """A board that tests leave whole."""
    with emulated_boards.boards() as (board,):
        yield board


@pytest.fixture
def board(shared: EmulatedBoard, isolated_home: Path) -> EmulatedBoard:
    """The board, its host key known."""
    know(shared)
    return shared


def connection_to(board: EmulatedBoard) -> Connection:
    return Connection(board.board, deadlines=SHORT)


def said(board: EmulatedBoard, command: str = "echo in") -> bytes:
    with connection_to(board) as connection:
        return connection.run(command, deadline_s=20).out


Fault = Callable[[EmulatedBoard], AbstractContextManager[None]]

UNREACHABLE: dict[str, Fault] = {
    "it is there, and no SSH server listens at port 22": faults.sshd_stopped,
    "it accepts connections .*, and did not say that it speaks SSH": faults.sshd_mute,
    "nothing answered at .* within 1 s": faults.link_down,
}


@pytest.mark.parametrize("words", UNREACHABLE)
def test_a_board_that_cannot_be_reached(board: EmulatedBoard, words: str) -> None:
    with UNREACHABLE[words](board), pytest.raises(BoardUnreachableError, match=words):
        said(board)
    assert said(board) == b"in\n"


def test_a_board_that_is_off(board: EmulatedBoard) -> None:
    board.stop()
    try:
        with pytest.raises(BoardUnreachableError, match="nothing answered"):
            said(board)
    finally:
        board.start()
    assert said(board) == b"in\n"


BROKEN: dict[str, Fault] = {"link": faults.link_down, "frozen": faults.frozen}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_late_costs_its_deadline(board: EmulatedBoard, how: str) -> None:
    with connection_to(board) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        with BROKEN[how](board), pytest.raises((BoardTimeoutError, BoardGoneError)):
            connection.run("echo on", deadline_s=2)
    assert said(board) == b"in\n"


def test_sessions_that_die_come_back(board: EmulatedBoard) -> None:
    with connection_to(board) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        faults.sessions_killed(board)
        # It may learn of it in the middle of a command; the next opens it again.
        with suppress(BoardGoneError):
            connection.run("true", deadline_s=20)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_bad_network_costs_time_and_no_byte(board: EmulatedBoard) -> None:
    data = os.urandom(300_000)
    with faults.link_impaired(board, loss=0.02, delay_ms=30):
        with Connection(board.board) as connection:
            assert connection.prove_alive() > 0.06
            upload(connection, data, "file")
        assert findings_of(board) == []
    assert (board.root / "home/debian/file").read_bytes() == data


def test_a_slow_line_carries_so_much_and_no_more(board: EmulatedBoard) -> None:
    data = os.urandom(20_000)
    with (
        faults.link_impaired(board, bytes_per_s=20_000),
        Connection(board.board) as connection,
    ):
        began_s = time.monotonic()
        upload(connection, data, "file")
        assert time.monotonic() - began_s > 0.9
    assert (board.root / "home/debian/file").read_bytes() == data


def test_a_cable_stays_pulled_while_the_board_is_switched_off_and_on(board: EmulatedBoard) -> None:
    with faults.link_down(board):
        board.stop()
        board._power_on()
        with pytest.raises(TimeoutError):
            socket.create_connection((board.address, 22), timeout=0.5)


DISKS: dict[str, Fault] = {
    "its disk is full": lambda board: faults.disk_full(board, 64 << 10),
    "its file system is read-only": faults.read_only,
}


@pytest.mark.parametrize("words", DISKS)
def test_a_disk_that_takes_nothing(board: EmulatedBoard, words: str) -> None:
    with connection_to(board) as connection:
        upload(connection, b"the old one", "kept")
        with DISKS[words](board), pytest.raises(BoardStorageError, match=words):
            upload(connection, bytes(1 << 20), "kept")
        assert connection.run("ls -A ~ | grep kept; cat kept", deadline_s=20).out == (
            b"kept\nthe old one"
        )
        upload(connection, bytes(1 << 20), "kept")
        connection.run("rm kept", deadline_s=20)


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (lambda board: faults.disk_full(board, 1 << 20), "home has 1.0 MB free"),
        (faults.read_only, "home is read-only"),
        (faults.noexec_tmp, "/tmp runs no programs (noexec)"),
        (lambda board: faults.clock_off(board, 5 * 3600), "its clock is 5 hours off"),
        (lambda board: faults.clock_off(board, -48 * 3600), "its clock is 48 hours off"),
    ],
    ids="full read-only noexec ahead behind".split(),
)
def test_a_check_finds_it(board: EmulatedBoard, fault: Fault, finding: str) -> None:
    with fault(board):
        assert findings_of(board) == [finding]
    assert findings_of(board) == []


def test_a_reboot_in_the_middle_of_a_file(board: EmulatedBoard) -> None:
    data = os.urandom(16 << 20)
    home = board.root / "home/debian"

    def reboot() -> None:
        until(lambda: list(home.glob(".file.*")))
        board.reboot()

    before = facts_of(board.board).boot_id
    with connection_to(board) as connection:
        upload(connection, b"the old one", "file")
        rebooting = threading.Thread(target=reboot)
        rebooting.start()
        with pytest.raises((BoardGoneError, BoardTimeoutError)):
            upload(connection, data, "file")
        rebooting.join()
        assert connection.run("cat file", deadline_s=20).out == b"the old one"
        upload(connection, data, "file")
        found = connection.run("ls -A; sha256sum file; rm file", deadline_s=20).out.decode()
    assert hashlib.sha256(data).hexdigest() in found
    # What the power cut left half written is taken away by the next upload of that file.
    assert ".file" not in found
    assert facts_of(board.board).boot_id != before


def test_another_host_key(board: EmulatedBoard, tmp_path: Path) -> None:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(inventory_text([board]))
    environment = {"EDGETVM_INVENTORY": str(inventory)}
    assert facts_of(board.board).user == "debian"
    faults.new_host_key(board)
    assert rekey(board.board).changed
    with pytest.raises(HostKeyError, match="its host key has changed"):
        said(board)
    checked = edgetvm("devices", "check", "--accept-new-host-key", environment=environment)
    assert (checked.code, "host key has changed" in checked.out) == (8, True), checked
    done = edgetvm("devices", "rekey", board.name, "--yes", environment=environment)
    assert (done.code, "is known from now on" in done.out) == (0, True), done
    assert said(board) == b"in\n"
    shown = edgetvm("devices", "ssh", board.name, "hostname", environment=environment)
    assert (shown.code, shown.out) == (0, f"{board.name}\n"), shown


def test_the_command_line_with_a_board_in_trouble(board: EmulatedBoard, tmp_path: Path) -> None:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(inventory_text([board]))
    environment = {"EDGETVM_INVENTORY": str(inventory)}
    with faults.sshd_stopped(board):
        done = edgetvm("devices", "check", "tag=emulated", environment=environment)
        assert done.code == 8
        assert "no SSH server listens at port 22" in done.out
        ended = edgetvm("devices", "facts", board.name, "--raw", environment=environment)
        assert refused(ended, 8, "no ssh server listens", "start sshd there")
    done = edgetvm("devices", "facts", "tag=emulated", "--json", environment=environment)
    assert done.code == 0, done
