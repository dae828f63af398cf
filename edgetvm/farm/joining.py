"""A board that joins the inventory: its profile is found by what it says of itself, or made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetvm.base.errors import ConfigurationError, EdgetvmError, UsageError
from edgetvm.base.paths import config_folder
from edgetvm.base.steps import step
from edgetvm.boards.detect import profile_of
from edgetvm.boards.machine import Machine
from edgetvm.boards.profile import PROFILE_NAME, BoardProfile, list_profiles
from edgetvm.boards.writing import write_profile
from edgetvm.farm.adding import add_board, check_is_new
from edgetvm.farm.asking import facts_of
from edgetvm.farm.contradictions import contradictions
from edgetvm.farm.facts import Facts
from edgetvm.farm.hops import Hop, parse_hops
from edgetvm.farm.inventory import Board, Login

# Boards of one kind are sold with more or less memory, and clocked as their users like.
_MAY_DIFFER = {"memory_bytes", "clock_mhz"}


@dataclass(frozen=True)
class Joined:
    """A board that is in the inventory now.

    Attributes:
        board: as it is read from there.
        inventory: the file.
        profile_file: of the profile that was made for it; None where one fitted.
        was_asked: whether it told what it is.
    """

    board: Board
    inventory: Path
    profile_file: Path | None
    was_asked: bool = True


def fitting_profile(machine: Machine) -> BoardProfile | None:
    """The profile of a real board that contradicts the machine least; None if all do in earnest."""
    fitting = []
    for profile in list_profiles():
        found = contradictions(machine, profile)
        real = not profile.emulated and profile.name != "local"
        if real and {one.key for one in found} <= _MAY_DIFFER:
            fitting.append((len(found), -len(profile.required_cpu_flags), profile))
    return min(fitting, key=lambda one: one[:2])[2] if fitting else None


def join(
    name: str, keys: dict[str, Any], profile: str | None, accept_new_host_key: bool = False
) -> Joined:
    """Put a board into the inventory.

    Args:
        name: of the board.
        keys: of its entry, as the file writes them; `host` is one of them.
        profile: its name; without it the board is asked, and a profile is made if none fits.
        accept_new_host_key: whether to note its host key, if none is known.

    Raises:
        UsageError: there is a board of that name.
        BoardError: it cannot be asked.
        ConfigurationError: the file cannot be used, or edgetvm has no code for such a board.
        StorageError: a file cannot be written.
    """
    check_is_new(name)
    if profile is not None:
        return Joined(*add_board(name, {"profile": profile, **keys}), None, was_asked=False)
    with step(f"ask {name} what it is"):
        facts = facts_of(_asked_as(name, keys), accept_new_host_key)
    found = fitting_profile(facts.machine)
    if found is not None:
        return Joined(*add_board(name, {"profile": found.name, **keys}), None)
    path = new_profile_file(name, facts, name.lower())
    try:
        return Joined(*add_board(name, {"profile": name.lower(), **keys}), path)
    except EdgetvmError:
        path.unlink()
        raise


def _asked_as(name: str, keys: dict[str, Any]) -> Board:
    hop = Hop(keys["host"], keys.get("port"), keys.get("user"))
    key_file = Path(keys["key_file"]).expanduser() if "key_file" in keys else None
    jump = parse_hops(keys["jump"]) if "jump" in keys else ()
    return Board(name, "", login=Login(hop, jump, key_file))


def new_profile_file(board: str, facts: Facts, name: str, path: Path | None = None) -> Path:
    """Write a profile from what a board says of itself.

    Args:
        board: its name.
        facts: that it told.
        name: of the profile.
        path: of the file; `devices/NAME.yaml` in the user's configuration folder without it.

    Raises:
        ConfigurationError: edgetvm has no code for such a board.
        UsageError: the file is there already, or no profile can be called so.
        StorageError: it cannot be written.
    """
    if not re.fullmatch(PROFILE_NAME, name):
        raise UsageError(
            f"{name!r} is no name for a profile", mend="use small letters, digits, '.', '_' and '-'"
        )
    model = facts.model or facts.machine.cores[0].model or facts.machine.architecture
    try:
        profile = profile_of(facts.machine, name, model, f"what board {board} says of itself")
    except ConfigurationError as error:
        error.where = f"board {board}"
        raise
    path = path or config_folder() / "devices" / f"{name}.yaml"
    write_profile(profile, path)
    return path
