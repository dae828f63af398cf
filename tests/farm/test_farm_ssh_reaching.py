"""The way to a board over SSH where it does not lead there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from real_sshd import Sshd
from ssh_servers import SHORT, address_of, needs_sshd

from edgetvm.base.errors import BoardUnreachableError
from edgetvm.farm.ssh import Connection

pytestmark = needs_sshd


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(BoardUnreachableError, match=r"the name board\.invalid is not known"):
        Connection(address_of("board.invalid", 22)).run("true", deadline_s=5)


def test_an_sshd_that_is_stopped(own_sshd: Sshd) -> None:
    own_sshd.stop()
    with pytest.raises(BoardUnreachableError, match=r"it is there, and no SSH server listens at"):
        Connection(own_sshd.board()).run("true", deadline_s=5)


def test_no_route() -> None:
    """An address of RFC 5737's documentation range, switched off in this machine's own table."""
    ip = shutil.which("ip", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    route = ["unreachable", "203.0.113.77/32"]
    if ip is None or subprocess.run([ip, "route", "add", *route], check=False).returncode:
        pytest.skip("this user may not change routes")
    try:
        with pytest.raises(BoardUnreachableError, match=r"there is no route to 203\.0\.113\.77"):
            Connection(address_of("203.0.113.77", 22)).run("true", deadline_s=5)
    finally:
        subprocess.run([ip, "route", "del", *route], check=True)


def test_nothing_answers() -> None:
    """A listener whose queue is full drops what comes: as a board that is switched off."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        try:
            for _ in range(4):
                stream = socket.socket()
                stream.setblocking(False)
                stream.connect_ex(address)
                waiting.append(stream)
            with pytest.raises(BoardUnreachableError, match=r"nothing answered at .* within 1 s"):
                Connection(address_of(*address), SHORT).run("true", deadline_s=5)
        finally:
            for stream in waiting:
                stream.close()


@contextmanager
def listener_that(answers: bytes | None) -> Iterator[int]:
    """A TCP server: it says something and closes, or accepts and never speaks (None)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                held.append(stream)
                if answers is not None:
                    stream.sendall(answers)
                    stream.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for stream in held:
            stream.close()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (None, "accepts connections at port .*, and did not say that it speaks SSH within 0.5 s"),
        (b"HTTP/1.0 400 Bad Request\r\n" * 200, "something else than SSH answers at port"),
        (b"", "closed the connection before the keys were exchanged"),
        (b"SSH-2.0-x\r\n", "closed the connection before the keys were exchanged"),
        (b"SSH-1.5-OpenSSH_2\r\n", "its SSH server is too old or too new"),
    ],
)
def test_a_listener_that_is_no_sshd(answers: bytes | None, words: str) -> None:
    with (
        listener_that(answers) as port,
        pytest.raises(BoardUnreachableError, match=words) as caught,
    ):
        Connection(address_of("127.0.0.1", port), SHORT).run("true", deadline_s=5)
    assert str(caught.value).startswith("board kitchen: ")
    assert caught.value.mend
