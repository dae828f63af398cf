"""Tunnels over SSH, both ways."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from real_sshd import Sshd, free_port, until
from ssh_servers import needs_sshd

from edgetvm.base.errors import BoardError, BoardUnreachableError
from edgetvm.farm.ssh import Connection, Tunnels

pytestmark = needs_sshd


@contextmanager
def echo_server() -> Iterator[int]:
    """It answers each stream with all that it has sent, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(stream: socket.socket) -> None:
            with stream:
                while part := stream.recv(65536):
                    stream.sendall(part.upper())

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError as error:
                    if error.errno == errno.EMFILE:
                        continue
                    return
                threading.Thread(target=answer, args=(stream,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said(port: int, data: bytes) -> bytes:
    """What a server answers to all of `data`; empty if it does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            answer = b""
            while part := stream.recv(65536):
                answer += part
            return answer
    except OSError:
        return b""


def test_tunnels_lead_both_ways_and_come_back(own_sshd: Sshd) -> None:
    data = b"a line of words\n" * 5_000
    board_port = free_port()
    connection = Connection(own_sshd.board())
    with echo_server() as server, connection, Tunnels(connection, proof_every_s=0.2) as tunnels:
        there = tunnels.to_board(server)
        assert tunnels.from_board(board_port, server) == board_port
        for _ in range(2):
            assert said(there, data) == data.upper()
            assert said(board_port, data) == data.upper()
            own_sshd.kill_sessions()
            assert until(lambda: said(there, b"on") == b"ON")
            assert until(lambda: said(board_port, b"on") == b"ON")
        with pytest.raises(BoardError, match=f"does not let port {server} of its own lead here"):
            tunnels.from_board(server, server)
        with pytest.raises(BoardError, match=f"port {server} of this machine is taken"):
            tunnels.to_board(9999, server)
    assert until(lambda: said(there, b"on") == b"")
    assert until(lambda: said(board_port, b"on") == b"")


def test_a_tunnel_to_nothing_ends_its_streams(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection, Tunnels(connection) as tunnels:
        port = tunnels.to_board(free_port())
        assert said(port, b"x") == b""
        with pytest.raises(BoardUnreachableError, match=r"nothing answers at 127\.0\.0\.1"):
            connection.open_stream("127.0.0.1", free_port())


def test_a_tunnel_outlives_a_time_without_files(sshd: Sshd) -> None:
    with echo_server() as server, Connection(sshd.board()) as connection, Tunnels(connection) as up:
        port = up.to_board(server)
        assert said(port, b"on") == b"ON"
        with socket.socket() as client, no_file_left():
            client.settimeout(20)
            client.connect(("127.0.0.1", port))
            time.sleep(0.2)
        assert until(lambda: said(port, b"on") == b"ON")
    assert said(port, b"on") == b"", "its port is free at once"


@contextmanager
def no_file_left() -> Iterator[None]:
    """As where this process has too many open files to open another."""
    free = os.dup(0)
    os.close(free)
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
