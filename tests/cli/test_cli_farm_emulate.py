"""`edgetvm farm emulate`, as users meet it: a command, and boards while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import emulated_boards
from real_command import COMMAND, edgetvm, refused


@contextmanager
def emulating(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, which has said that its boards are up."""
    with emulated_boards.boards(0):
        pass  # it says what is missing here
    with subprocess.Popen(
        [*COMMAND, "farm", "emulate", "--arch", "x86_64", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict([emulated_boards.CACHE])},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], end: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or (lines[-1] != end and process.poll() is None):
        lines.append(process.stdout.readline().rstrip("\n"))
    return lines


def test_boards_are_there_until_ctrl_c(tmp_path: Path) -> None:
    inventory = tmp_path / "boards.yaml"
    with emulating("--boards", "2", "--inventory", str(inventory)) as process:
        said = lines_until(process, "What is measured on them says nothing about real boards.")
        assert said[0] == "emulated-1, emulated-2: up, and gone with Ctrl-C. In another terminal:"
        assert f"  export EDGETVM_INVENTORY={inventory}" in said
        environment = {"EDGETVM_INVENTORY": str(inventory)}
        # The commands that it names; provisioning has tests of its own.
        assert said.pop(4) == "  edgetvm provision"
        for words in said[3:5]:
            done = edgetvm(*words.split()[1:], environment=environment)
            assert done.code == 0, done
        shown = edgetvm("devices", "power", "emulated-2", "off", environment=environment)
        assert shown.out == "emulated-2: off\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read().endswith("ending the boards\n")
    assert not inventory.exists()


def test_its_document_names_the_inventory(tmp_path: Path) -> None:
    with emulating("--boards", "1", "--json") as process:
        document = json.loads("\n".join(lines_until(process, "}")))
        inventory = Path(document["inventory"])
        assert document["boards"][0]["profile"] == "emulated-x86-64"
        assert inventory.read_text().startswith("# Written by edgetvm farm emulate")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not inventory.parent.exists()


def test_what_is_not_its_own_stays(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("boards: {}\n")
    done = edgetvm("farm", "emulate", "--inventory", str(mine))
    assert refused(done, 2, str(mine), "not an inventory of emulated boards", "name another file")
    assert mine.read_text() == "boards: {}\n"
