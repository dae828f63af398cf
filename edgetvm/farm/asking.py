"""Boards asked for their facts, several at once, and what is wrong with each."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import Literal

from edgetvm.base.errors import (
    BoardBusyError,
    BoardError,
    BoardNotProvisionedError,
    BoardTimeoutError,
)
from edgetvm.base.units import format_bytes
from edgetvm.boards.profile import load_profile
from edgetvm.farm.contradictions import contradictions
from edgetvm.farm.facts import Disk, Facts, facts_script, parse_facts
from edgetvm.farm.greeting import greet
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.probing import session_over
from edgetvm.farm.server_proof import prove_server
from edgetvm.farm.ssh import Connection
from edgetvm.farm.tracker_client import registered_keys

_FACTS_DEADLINE_S = 30.0
_LEAST_FREE_BYTES = 64 << 20
_CLOCK_OFF_S = 3600.0

State = Literal["ok", "odd", "failed"]


@dataclass(frozen=True)
class Checked:
    """How a board was found.

    Attributes:
        state: `odd` where something is to be looked at and packages run all the same.
        round_trip_ms: to a process on the board and back; None where it has no SSH or did not
            answer.
        findings: sentences.
    """

    state: State
    round_trip_ms: float | None
    findings: tuple[str, ...]


def ask(board: Board, accept_new_host_key: bool = False) -> str:
    """What a board says of itself: the answer of `on_board/facts.sh`.

    Raises:
        BoardError: it cannot be reached, or does not answer.
        ConfigurationError: the inventory does not say how SSH reaches it.
    """
    if board.shares_cores:
        return _asked_here()
    with Connection(board, accept_new_host_key=accept_new_host_key) as connection:
        return _asked(connection)


def _asked_here() -> str:
    try:
        done = subprocess.run(
            ["sh", "-s"],
            input=facts_script(),
            stdout=subprocess.PIPE,
            timeout=_FACTS_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BoardTimeoutError(
            f"this machine did not say what it is within {_FACTS_DEADLINE_S:g} s",
            where=f"board {LOCAL.name}",
            mend="is a disk or network file system of it away? see what `df` does",
        ) from error
    return done.stdout.decode(errors="replace")


def _asked(connection: Connection) -> str:
    answer = connection.run(facts_script().decode(), deadline_s=_FACTS_DEADLINE_S)
    return answer.out.decode(errors="replace")


def facts_of(board: Board, accept_new_host_key: bool = False) -> Facts:
    """What a board is, and how it stands.

    Raises:
        BoardError, ConfigurationError: as `ask`; or its answer cannot be read.
    """
    return _parsed(ask(board, accept_new_host_key), board)


def _parsed(answer: str, board: Board) -> Facts:
    try:
        return parse_facts(answer)
    except BoardError as error:
        error.where = f"board {board.name}"
        raise


def check_board(board: Board, accept_new_host_key: bool = False) -> Checked:
    """Ask a board whether it is there, is what its profile says, and can take a package.

    Raises:
        BoardError, ConfigurationError: as `ask`.
    """
    findings: list[str] = []
    of_server: list[str] = []
    round_trip_ms = None
    harmless = serves = True
    if board.shares_cores:
        facts = facts_of(board)
    elif board.login is not None:
        with Connection(board, accept_new_host_key=accept_new_host_key) as connection:
            round_trip_ms = connection.prove_alive() * 1e3
            facts = _parsed(_asked(connection), board)
            if board.tracker is None:
                serves, of_server = _serves(connection)
    else:
        facts = None
    if facts is not None:
        against = contradictions(facts.machine, load_profile(board.profile))
        harmless = all(one.harmless for one in against)
        findings += [*map(str, against), *_how_it_stands(facts)]
    findings += [*_at_tracker(board), *of_server]
    state: State = "failed" if not (harmless and serves) else "odd" if findings else "ok"
    return Checked(state, round_trip_ms, tuple(findings))


def _serves(connection: Connection) -> tuple[bool, list[str]]:
    """Whether nothing is broken about the board's server, and findings; a session proves it."""
    try:
        _prove_session(connection)
    except (BoardNotProvisionedError, BoardBusyError) as error:
        return True, [_told(error)]
    except BoardError as error:
        return False, [_told(error)]
    return True, []


def _prove_session(connection: Connection) -> None:
    board = connection.board
    greeting = greet(connection)
    prove_server(connection, board.server_port)
    try:
        session_over(
            lambda: connection.open_stream(LOOPBACK, board.server_port), greeting.key, board.name
        )
    except BoardTimeoutError as error:
        raise BoardBusyError("its server answers, and has another client now") from error


def _told(error: BoardError) -> str:
    return f"{error.what} ({error.mend})" if error.mend else error.what


def _at_tracker(board: Board) -> list[str]:
    if board.tracker is None or board.key in registered_keys(board.tracker):
        return []
    return [f"no free server has registered as {board.key} with tracker {board.tracker}"]


def _how_it_stands(facts: Facts) -> list[str]:
    findings = []
    for name, disk in (("home", facts.home), ("/tmp", facts.tmp)):  # noqa: S108 - the board's
        findings += [f"{name} {fault}" for fault in _disk_faults(disk)]
    if facts.throttled:
        findings.append("it slows down now, for heat or lack of power")
    off_s = abs(facts.clock_s - time.time())
    if facts.clock_s and off_s > _CLOCK_OFF_S:
        findings.append(f"its clock is {off_s / 3600:.0f} hours off")
    return findings


def _disk_faults(disk: Disk | None) -> list[str]:
    if disk is None:
        return []
    faults = {
        "is read-only": disk.read_only,
        "runs no programs (noexec)": disk.noexec,
        f"has {format_bytes(disk.free_bytes)} free": disk.free_bytes < _LEAST_FREE_BYTES,
    }
    return [fault for fault, is_there in faults.items() if is_there]
