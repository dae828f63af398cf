"""A session without TVM, with the C program on three architectures, and with what is no server."""

from __future__ import annotations

import socket
import struct
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_board import ARCHITECTURES, serving

from edgetvm.farm.bare_session import BareSession, Handle
from edgetvm.farm.board_service import decode, encode
from edgetvm.farm.probing import facts_told
from edgetvm.farm.provision.session_proof import probe_kernel, try_kernel

WELCOME = struct.pack("<ii", 0xFF271, 10) + b"server:key"
BEGUN = struct.pack("<Qiii", 12, 4, 1, 0)


class _Canned:
    """A channel on which the other side has said all that it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def settimeout(self, _timeout_s: float) -> None:
        pass

    def sendall(self, _data: bytes) -> None:
        pass

    def recv(self, size_bytes: int) -> bytes:
        part, self._data = self._data[:size_bytes], self._data[size_bytes:]
        return part


@pytest.mark.board
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_server_is_asked_and_runs_what_it_is_sent(architecture: str) -> None:
    with serving(architecture) as board:
        with (
            closing(socket.create_connection(("127.0.0.1", board.port))) as stream,
            BareSession(stream, board.key, 20) as session,
        ):
            answer = session.call(session.function("edgetvm.facts"), encode({}, b""))
            assert isinstance(answer, bytes)
            assert decode(answer)[0]["cores"] > 0
            try_kernel(session, probe_kernel(architecture).read_bytes())
            with pytest.raises(ValueError, match=r"no function nothing"):
                session.function("nothing")
            with pytest.raises(ValueError, match="FileNotFoundError"):
                session.call(session.function("tvm.rpc.server.download"), "nothing")
        with (
            closing(socket.create_connection(("127.0.0.1", board.port))) as stream,
            pytest.raises(ValueError, match="it refuses the key"),
        ):
            BareSession(stream, "another", 20)


@pytest.mark.board
def test_a_kernel_that_cannot_be_loaded_is_told() -> None:
    with (
        serving() as board,
        closing(socket.create_connection(("127.0.0.1", board.port))) as stream,
        BareSession(stream, board.key, 20) as session,
        pytest.raises(ValueError, match=r"architecture|shared object"),
    ):
        try_kernel(session, b"no program")


def test_a_server_that_says_nothing_is_given_up() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(socket.create_connection(listener.getsockname())) as stream,
        pytest.raises(TimeoutError),
    ):
        BareSession(stream, "key", 0.1)


@given(answer=st.binary(max_size=80), begins=st.sampled_from([b"", WELCOME, WELCOME + BEGUN]))
@settings(deadline=None)
def test_what_is_no_answer_is_refused(answer: bytes, begins: bytes) -> None:
    try:
        session = BareSession(_Canned(begins + answer), "key", 20)
        found = session.function("edgetvm.facts")
    except (ValueError, EOFError):
        return
    assert isinstance(found, Handle)


@pytest.mark.parametrize("said", [b"", b"\x01", encode({}, b"")[:5], struct.pack("<I", 2) + b"[]"])
def test_facts_that_are_none_are_refused(said: bytes) -> None:
    values = [struct.pack("<iiQ", 1, 4, 7), struct.pack("<iiiiQ", 2, 1, 0, 9, len(said)) + said]
    answers = [struct.pack("<Qi", len(one) + 4, 4) + one for one in values]
    session = BareSession(_Canned(WELCOME + BEGUN + b"".join(answers)), "key", 20)
    with pytest.raises(ValueError):
        facts_told(session)


@given(
    kind=st.integers(-1, 80), number=st.integers(-(2**63), 2**63 - 1), data=st.binary(max_size=9)
)
def test_values_of_any_kind_are_read_or_refused(kind: int, number: int, data: bytes) -> None:
    values = struct.pack("<iiqiq", 2, 1, kind, kind, number) + data
    answer = struct.pack("<Qi", len(values) + 4, 4) + values
    session = BareSession(_Canned(WELCOME + BEGUN + answer), "key", 20)
    try:
        value = session.call(Handle(1), 1, "two", b"three", None, Handle(4), module=Handle(5))
    except ValueError:
        return
    assert value in (None, number, data, Handle(number))
