"""Emulated boards for tests. scripts/setup installs what they need; only root has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edgetvm.base.errors import MissingToolError
from edgetvm.farm.asking import check_board
from edgetvm.farm.emulating import Conditions, EmulatedBoard, emulated_boards
from edgetvm.farm.emulating.binfmt import needed_programs
from edgetvm.farm.emulating.needs import require_programs

# Userlands and keys stay where the user has them: to make them takes seconds, and the internet.
CACHE = ("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))


@contextmanager
def boards(
    count: int = 1, architecture: str = "x86_64", conditions: Conditions | None = None
) -> Iterator[list[EmulatedBoard]]:
    """Boards that are on. With a program missing the test fails; without root it is left out."""
    if os.geteuid():
        pytest.skip("only root can emulate boards")
    try:
        require_programs(needed_programs(architecture))
    except MissingToolError as error:
        pytest.fail(f"{error}: run scripts/setup test")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(*CACHE)
            context = emulated_boards(count, architecture, conditions or Conditions())
            made = stack.enter_context(context)
        yield made


def know(board: EmulatedBoard) -> None:
    """Write the host key of a board into the known_hosts of this test's home."""
    path = Path.home() / ".ssh" / "known_hosts"
    path.parent.mkdir(exist_ok=True)
    kind, key, *_ = (board.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
    with path.open("a") as file:
        file.write(f"{board.address} {kind} {key}\n")


def findings_of(board: EmulatedBoard) -> list[str]:
    """What a check finds, beside that nobody has provisioned it."""
    found = check_board(board.board).findings
    return [one for one in found if "edgetvm provision" not in one]
