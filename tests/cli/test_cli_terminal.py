"""What a terminal makes of the steps it hears."""

from __future__ import annotations

import time

import pytest

from edgetvm.base.steps import note, step, warn
from edgetvm.cli import terminal as terminal_module
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


def test_a_step_that_takes_long_gives_signs_of_life(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_module, "_SIGN_EVERY_S", 0.02)
    with Terminal().steps(), step("estimate it"), step("call QEMU"):
        time.sleep(0.2)
    first, *more = capfd.readouterr().err.splitlines()
    assert first.startswith("… call QEMU  ")
    assert [line.split()[0] for line in more[-2:]] == ["✓", "✓"]
