"""A connection to a board that opens on first use, is shared, and comes back when it broke."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import (
    BoardError,
    BoardGoneError,
    BoardTimeoutError,
    BoardUnreachableError,
)
from edgetvm.base.words import printable
from edgetvm.farm.inventory import Board, with_login
from edgetvm.farm.ssh.deadlines import Deadlines, watched
from edgetvm.farm.ssh.holding import Held
from edgetvm.farm.ssh.known_hosts import check_host_key, known_keys
from edgetvm.farm.ssh.login import log_in, start
from edgetvm.farm.ssh.reaching import reach
from edgetvm.farm.ssh.route import Stop, route_to

_MOST_BYTES = 64 << 20
_PART_BYTES = 1 << 15
# How long it may take until a broken connection is told as one.
_END_S = 1.0
# OPEN_FAILED's reason in RFC 4254, 5.1: the server does not allow it.
_PROHIBITED = 1


@dataclass(frozen=True)
class Answer:
    """How a command on a board ended."""

    exit_code: int
    out: bytes
    err: bytes

    @property
    def last_words(self) -> str:
        """The last line that it said, on stderr if there is one."""
        lines = (self.err.strip() or self.out.strip()).decode(errors="replace").splitlines()
        return printable(lines[-1]) if lines else "nothing"


class NobodyListensError(BoardUnreachableError):
    """The way to the board is there, and nothing answers at a port of its own."""


class Connection:
    """SSH to one board. All threads may use it.

    Every method raises:
        BoardUnreachableError: nothing speaks SSH there, or no way leads to it.
        HostKeyError: its host key is unknown, or has changed.
        BoardLoginError: it refuses the login.
        BoardGoneError: the connection broke in the middle.
        BoardTimeoutError: the board did not answer before the deadline.
        ConfigurationError: a key file or secret of the inventory cannot be used.
    """

    def __init__(
        self, board: Board, deadlines: Deadlines | None = None, accept_new_host_key: bool = False
    ) -> None:
        self.board = board
        self.deadlines = deadlines or Deadlines()
        self._login = with_login(board)
        self._accept_new = accept_new_host_key
        self._where = f"board {board.name}"
        self._lock = threading.RLock()
        self._transports: list[Any] = []
        self._proven_s = 0.0
        self._is_over = False

    def run(self, command: str, *, deadline_s: float, stdin: bytes = b"") -> Answer:
        """Run a command in a POSIX shell there, to its end.

        Args:
            command: its text.
            deadline_s: for the whole of it, on a connection that is up.
            stdin: what it reads.
        """
        doing, open_s = "running a command", min(self.deadlines.channel_s, deadline_s)
        with self._channel(self.transport(), doing, open_s) as channel:
            return self._conversation(channel, command, stdin, deadline_s, doing)

    @contextmanager
    def held(self, command: str, *, deadline_s: float) -> Iterator[Held]:
        """A command that runs for as long as the block lasts; it ends when its standard input does.

        Args:
            command: its text, for a POSIX shell.
            deadline_s: until it must have begun, and again until it must have ended.
        """
        doing, open_s = "running a command", min(self.deadlines.channel_s, deadline_s)
        with self._channel(self.transport(), doing, open_s) as channel:
            with watched(deadline_s, lambda: end_channel(channel)):
                held = self._begun(channel, command, doing)
            yield held
            with watched(deadline_s, lambda: end_channel(channel)):
                held.finish()

    def _begun(self, channel: Any, command: str, doing: str) -> Held:
        import paramiko

        try:
            return Held(channel, command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._gone(doing) from error

    def prove_alive(self) -> float:
        """A round trip through a process on the board. Gives its seconds."""
        self.transport()
        return self._prove()

    def beat(self) -> None:
        """A round trip to the SSH server alone: no process is started in mid-measurement.

        A connection that does not answer is closed; the next use opens it again.
        """
        transport = self.transport()
        with watched(self.deadlines.silence_s, transport.close):
            transport.global_request("keepalive@openssh.com", wait=True)
        if not transport.is_active():
            raise self._gone("proving it")
        self._proven_s = time.monotonic()

    @property
    def current(self) -> Any:
        """paramiko's transport, if it is up; None where it is not."""
        last = self._transports[-1:]
        return last[0] if last and last[0].is_active() else None

    def _prove(self) -> float:
        doing, deadline_s = "proving the connection", self.deadlines.proof_s
        began_s = time.monotonic()
        with self._channel(self._transports[-1], doing, deadline_s) as channel:
            proof = self._conversation(channel, "echo alive", b"", deadline_s, doing)
        if proof.out.strip() != b"alive":
            raise BoardError(
                f"its shell does not run commands; it says: {proof.last_words}",
                where=self._where,
                mend="give the account a shell, and one that says nothing by itself",
            )
        return time.monotonic() - began_s

    def transport(self) -> Any:
        """paramiko's transport of a connection that is up; it is opened, or opened again."""
        with self._lock:
            if self._transports and self._transports[-1].is_active():
                if time.monotonic() - self._proven_s < self.deadlines.idle_s:
                    return self._transports[-1]
                with contextlib.suppress(BoardError):
                    self._prove()
                    return self._transports[-1]
            self.close()
            self._open()
            return self._transports[-1]

    def close(self) -> None:
        """End it. The next use opens it again."""
        with self._lock:
            for transport in reversed(self._transports):
                transport.close()
            self._transports = []

    def end(self) -> None:
        """End it for good. Whoever is opening it just now is not waited for, and closes it, too."""
        self._is_over = True
        if self._lock.acquire(timeout=_END_S):
            try:
                self.close()
            finally:
                self._lock.release()

    def __enter__(self) -> Connection:
        self.transport()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        if self._is_over:
            raise self._gone("opening it")
        *jump, board = route_to(self._login)
        try:
            self._pass(jump)
            self._enter(board, self._where, is_board=True)
            if self._is_over:
                raise self._gone("opening it")
        except BaseException:
            self.close()
            raise
        self._proven_s = time.monotonic()

    def shown_key(self) -> tuple[Stop, Any]:
        """The board, and its host key as it shows it now, whatever it is; nobody logs in there."""
        *jump, board = route_to(self._login)
        with self._lock:
            self.close()
            try:
                self._pass(jump)
                return board, self._start(board, self._where).get_remote_server_key()
            finally:
                self.close()

    def _pass(self, jump: Sequence[Stop]) -> None:
        for stop in jump:
            self._enter(stop, f"{self._where}, jump host {stop}", is_board=False)

    def _enter(self, stop: Stop, where: str, is_board: bool) -> None:
        transport = self._start(stop, where)
        name = shlex.quote(self.board.name if is_board else stop.known_as)
        rekey = f"edgetvm devices rekey {name}" if is_board else f"ssh-keygen -R {name}"
        key = transport.get_remote_server_key()
        check_host_key(stop, key, where, rekey, self._accept_new)
        log_in(transport, stop, self._login, is_board, where)

    def _start(self, stop: Stop, where: str) -> Any:
        """A transport to the next stop, over those before it, its key not checked."""
        if self._transports:
            sock = self._over(self._transports[-1], stop, where)
        else:
            sock = reach(stop, self.deadlines, where)
        self._transports.append(start(sock, stop, known_keys(stop), self.deadlines, where))
        return self._transports[-1]

    def _over(self, transport: Any, stop: Stop, where: str) -> Any:
        import paramiko

        try:
            return transport.open_channel("direct-tcpip", (stop.host, stop.port), ("127.0.0.1", 0))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise BoardUnreachableError(
                f"the jump host cannot reach {stop}: {printable(str(error))}",
                where=where,
                mend="log in to the jump host and try from there",
            ) from error

    @contextmanager
    def _channel(self, transport: Any, doing: str, deadline_s: float) -> Iterator[Any]:
        """A channel for one command, closed afterwards."""
        import paramiko

        try:
            with watched(deadline_s + _END_S, transport.close):
                channel = transport.open_session(timeout=deadline_s)
        except (paramiko.SSHException, OSError, EOFError) as error:
            if "timeout" in str(error).lower():
                raise self._late(doing, deadline_s) from error
            if transport.is_active():
                raise BoardError(
                    f"it opens no channel: {printable(str(error))}",
                    where=self._where,
                    mend="see its sshd's log (MaxSessions)",
                ) from error
            raise self._gone(doing) from error
        try:
            yield channel
        finally:
            end_channel(channel)

    def open_stream(self, host: str, port: int) -> Any:
        """A stream to an address as seen from the board: paramiko's channel, the caller's.

        Raises:
            NobodyListensError: nothing answers there; and what every method raises.
        """
        import paramiko

        transport = self.transport()
        try:
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0))
        except paramiko.ChannelException as error:
            if error.code != _PROHIBITED:
                raise self._nobody_at(host, port, error.text) from error
            raise BoardError(
                "its SSH server lets no tunnels through",
                where=self._where,
                mend="set `AllowTcpForwarding yes` in its sshd_config",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.see_that_it_holds("opening a stream")
            raise self._nobody_at(host, port, str(error)) from error

    def see_that_it_holds(self, doing: str) -> None:
        """After a stream broke in the middle of something: whether the connection did.

        Raises:
            BoardGoneError: it did.
        """
        for transport in self._transports[-1:]:
            transport.join(_END_S)  # it knows a moment later than its streams
            if transport.is_active():
                return
        raise self._gone(doing)

    def _nobody_at(self, host: str, port: int, why: str) -> NobodyListensError:
        return NobodyListensError(
            f"nothing answers at {host}:{port} there: {printable(why)}",
            where=self._where,
            mend="does its server run?",
        )

    def _conversation(
        self, channel: Any, command: str, stdin: bytes, deadline_s: float, doing: str
    ) -> Answer:
        import paramiko

        # The deadline ends the channel, and with it whatever waits: the request as well, for which
        # paramiko itself would wait for ever.
        with watched(deadline_s, lambda: end_channel(channel)) as watch:
            try:
                channel.exec_command(f"exec /bin/sh -c {shlex.quote(command)}")
                answer = _talk(channel, stdin)
            except (paramiko.SSHException, OSError, EOFError) as error:
                if watch.fired:
                    raise self._late(doing, deadline_s) from error
                raise self._gone(doing) from error
        if watch.fired:
            raise self._late(doing, deadline_s)
        if max(len(answer.out), len(answer.err)) > _MOST_BYTES:
            raise BoardError(f"it sends more than {_MOST_BYTES >> 20} MB", where=self._where)
        if answer.exit_code < 0:
            channel.transport.join(_END_S)
            if channel.transport.is_active():
                raise BoardError(
                    "the command was killed there",
                    where=self._where,
                    mend="has it enough memory? see its log (`dmesg`)",
                )
            raise self._gone(doing)
        self._proven_s = time.monotonic()
        return answer

    def _late(self, doing: str, deadline_s: float) -> BoardTimeoutError:
        return BoardTimeoutError(
            f"the board did not answer within {deadline_s:g} s while {doing}",
            where=self._where,
            mend="is it frozen or overloaded? restart it and run the same command again",
        )

    def _gone(self, doing: str) -> BoardGoneError:
        return BoardGoneError(
            f"the connection broke while {doing}",
            where=self._where,
            mend="check its power and network, then run the same command again",
        )


def _talk(channel: Any, stdin: bytes) -> Answer:
    """Send and receive at once: neither side may wait for the other to read."""
    errors: list[bytes] = []
    sender = threading.Thread(target=_send, args=(channel, stdin), daemon=True)
    listener = threading.Thread(
        target=lambda: errors.append(_received(channel, channel.recv_stderr)), daemon=True
    )
    sender.start()
    listener.start()
    out = _received(channel, channel.recv)
    listener.join()
    code = channel.recv_exit_status()
    # A command may end without having read all; what is left is not for anybody.
    end_channel(channel)
    sender.join()
    return Answer(code, out, b"".join(errors))


def end_channel(channel: Any) -> None:
    """Close a channel. Where even that finds no way out, the other side reads no more: hang up."""
    closer = threading.Thread(target=_close, args=(channel,), daemon=True)
    closer.start()
    closer.join(_END_S)
    if closer.is_alive():
        channel.transport.close()


def _close(channel: Any) -> None:
    with contextlib.suppress(OSError, EOFError):
        channel.close()


def _send(channel: Any, data: bytes) -> None:
    with contextlib.suppress(OSError, EOFError):
        channel.sendall(data)
        channel.shutdown_write()


def _received(channel: Any, receive: Any) -> bytes:
    """All that comes; of what never ends, a little more than is allowed."""
    data = bytearray()
    while part := receive(_PART_BYTES):
        data += part
        if len(data) > _MOST_BYTES:
            end_channel(channel)
            break
    return bytes(data)
