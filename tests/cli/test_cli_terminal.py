"""What a terminal makes of the steps it hears."""

from __future__ import annotations

import pytest

from edgetvm.base.steps import note, step, warn
from edgetvm.cli.terminal import Terminal


def test_a_sentence_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.steps():
        for _ in range(2):
            warn("it is slow")
            note("it is slow")
        with step("work"):
            warn("it is slow")
            warn("it is large")
    said = capfd.readouterr().err.splitlines()
    assert said[:3] == ["warning: it is slow", "it is slow", "warning: it is large"]
    assert len(said) == 4
