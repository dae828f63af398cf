"""A recording from a board's own microphone."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from edgetvm.base.errors import BoardTimeoutError, UsageError
from edgetvm.base.files import storage_errors
from edgetvm.base.paths import data_folder
from edgetvm.base.steps import step
from edgetvm.farm.inventory import Board
from edgetvm.farm.ssh import Connection
from edgetvm.recipes import Heard, record


def recorded(board: Board, seconds: float, sample_rate_hz: int) -> Path:
    """Record on a board, by its own `arecord`.

    Args:
        board: this machine, or one that SSH leads to.
        seconds: of signal.
        sample_rate_hz: of the recording.

    Returns:
        a WAV file among the user's own data.

    Raises:
        UsageError: nothing says how to log in to the board.
        MissingToolError, ConfigurationError: see `edgetvm.recipes.record`.
        BoardError: see `edgetvm.farm.ssh.Connection`.
    """
    path = data_folder() / "recordings" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{board.name}.wav"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with step(f"record {seconds:g} s from the microphone of {board.name}") as this:
        if board.shares_cores:
            record(path, seconds, sample_rate_hz)
        else:
            _record_there(board, path, seconds, sample_rate_hz)
        this.detail = str(path)
    return path


def _record_there(board: Board, path: Path, seconds: float, sample_rate_hz: int) -> None:
    where = f"board {board.name}"
    if board.login is None:
        raise UsageError(
            "its microphone is reached over SSH, and nothing says how to log in",
            where=where,
            mend="give it a `host` in the inventory, or a recording: --audio FILE.wav",
        )
    with Connection(board) as connection:
        record(path, seconds, sample_rate_hz, partial(_heard, connection), where)


def _heard(connection: Connection, words: list[str], timeout_s: float) -> Heard:
    try:
        answer = connection.run(shlex.join(words), deadline_s=timeout_s)
    except BoardTimeoutError as error:
        raise TimeoutError from error
    return Heard(answer.exit_code, answer.out, answer.last_words)
