"""Programs that make boards, and do not come to their end."""

from __future__ import annotations

import subprocess

import pytest

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating import commands


def test_a_process_that_never_says_its_number_is_ended_with_all_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "_DEADLINE_S", 0.3)
    with pytest.raises(BoardError, match=r"x: it does not start: not done after 0\.3 s"):
        commands.started(["sh", "-c", "sleep 4321 & wait"], where="x")
    assert subprocess.run(["pgrep", "-f", "^sleep 4321"], check=False).returncode == 1
