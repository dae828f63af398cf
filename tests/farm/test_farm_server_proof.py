"""Proof of a board's server: what is wrong with the way to it is not told of the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from real_sshd import Sshd, free_port, until
from ssh_servers import needs_sshd

from edgetvm.base.errors import BoardError, BoardGoneError, BoardUnreachableError
from edgetvm.farm.provision.session_proof import prove_session
from edgetvm.farm.server_proof import prove_server
from edgetvm.farm.ssh import Connection

pytestmark = needs_sshd

PROOFS = [prove_server, lambda connection, port: prove_session(connection, port, "key", b"")]
Proof = Callable[[Connection, int], object]


@contextmanager
def server_that(greeted: Callable[[], object]) -> Iterator[int]:
    """A server that does something at the first byte of each client, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                with stream:
                    stream.recv(1)
                    greeted()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("prove", PROOFS)
def test_what_is_wrong_with_the_way_is_not_told_of_the_server(own_sshd: Sshd, prove: Proof) -> None:
    with Connection(own_sshd.board()) as connection:
        with pytest.raises(BoardError, match="its server does not run"):
            prove(connection, free_port())
        with (
            server_that(own_sshd.kill_sessions) as port,
            pytest.raises(BoardGoneError, match="the connection broke while proving its server"),
        ):
            prove(connection, port)
        with server_that(lambda: None) as port, pytest.raises(BoardError) as told:
            prove(connection, port)
        assert not isinstance(told.value, ConnectionError), told.value
        own_sshd.stop()
        assert until(lambda: connection.current is None)
        with pytest.raises(BoardUnreachableError, match="no SSH server listens"):
            prove(connection, 9)
