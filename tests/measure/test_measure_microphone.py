"""A recording from the microphone of a board that SSH leads to."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_board import server, ssh_board  # noqa: F401 - fixtures are found by their names here

from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.farm import Board
from edgetvm.measure.microphone import recorded
from edgetvm.recipes import recordings


def arecord(path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board's program."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setattr(recordings, "PROGRAM", str(path))


def test_the_board_s_own_microphone_is_heard(
    ssh_board: Board,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arecord(tmp_path / "arecord", "for n in 1 2 3 4; do printf '\\001\\002'; done", monkeypatch)
    with wave.open(str(recorded(ssh_board, 0.5, 8))) as file:
        assert (file.getframerate(), file.readframes(9)) == (8, b"\1\2" * 4)


def test_why_a_board_hears_nothing(
    ssh_board: Board,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recordings, "PROGRAM", str(tmp_path / "none"))
    with pytest.raises(MissingToolError, match=r"board kitchen: arecord is missing.*there"):
        recorded(ssh_board, 0.5, 8)
    arecord(tmp_path / "arecord", "echo 'audio open error' >&2; exit 1", monkeypatch)
    with pytest.raises(ConfigurationError, match=r"board kitchen: arecord.*: audio open error"):
        recorded(ssh_board, 0.5, 8)
    with pytest.raises(UsageError, match="nothing says how to log in"):
        recorded(replace(ssh_board, login=None), 0.5, 8)
