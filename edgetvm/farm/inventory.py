"""The user's boards, in YAML."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import NotFoundError, UsageError
from edgetvm.base.paths import config_folder
from edgetvm.base.yamlfile import read_yaml
from edgetvm.boards.profile import list_profiles
from edgetvm.farm.tracker_client import Address

_STRICT = ConfigDict(extra="forbid")
_THIS_MACHINE = "local"
_VARIABLE = "EDGETVM_INVENTORY"


def _address(text: str) -> str:
    try:
        Address.parse(text)
    except UsageError as error:
        raise ValueError("an address as HOST:PORT, for example 127.0.0.1:9190") from error
    return text


def _board_name(name: str) -> str:
    if name == _THIS_MACHINE:
        raise ValueError("another name: that one is this machine's")
    return name


@dataclass(frozen=True, config=_STRICT)
class BoardEntry:
    """One board as its inventory file writes it."""

    profile: Annotated[str, Field(description="Name of its board profile, as `rpi4`.")]
    tracker: Annotated[
        str,
        AfterValidator(_address),
        Field(description="HOST:PORT of the tracker that its RPC server registers with."),
    ]
    key: Annotated[str, Field(description="Key that its RPC server registers under.")]


@dataclass(frozen=True, config=_STRICT)
class Inventory:
    """An inventory file: boards by name."""

    boards: Annotated[
        Mapping[Annotated[str, AfterValidator(_board_name)], BoardEntry],
        Field(description="Boards by name."),
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """A board to work on.

    Attributes:
        name: in the inventory; `local` for this machine.
        profile: name of its board profile.
        tracker: where its server registers; None for `local`, whose tracker is started for it.
        key: that its server registers under.
    """

    name: str
    profile: str
    tracker: Address | None = None
    key: str = ""

    @property
    def shares_cores(self) -> bool:
        """Whether what this machine computes slows it down."""
        return self.name == _THIS_MACHINE


LOCAL = Board(_THIS_MACHINE, "local")


def inventory_path() -> Path:
    """`$EDGETVM_INVENTORY`, or `boards.yaml` in the user's configuration folder."""
    named = os.environ.get(_VARIABLE)
    return Path(named) if named else config_folder() / "boards.yaml"


def load_inventory(path: Path | None = None) -> dict[str, Board]:
    """All boards by name; `local` is always one of them.

    Args:
        path: the file; `inventory_path()` without it, which need not exist unless
            `$EDGETVM_INVENTORY` names it.

    Raises:
        ConfigurationError: naming file, line, key path and the mend.
    """
    boards = {LOCAL.name: LOCAL}
    named = path is not None or bool(os.environ.get(_VARIABLE))
    path = path or inventory_path()
    if not path.exists() and not named:
        return boards
    for name, entry in read_yaml(path, Inventory).boards.items():
        boards[name] = Board(name, entry.profile, Address.parse(entry.tracker), entry.key)
    return boards


def find_boards(name: str, most: int | None = None) -> list[Board]:
    """The board of that name, or all boards of the inventory that have that profile.

    Args:
        name: of a board or of a board profile.
        most: of a profile's boards, so many at most.

    Raises:
        NotFoundError: neither; says so when no board of the inventory has that profile.
        ConfigurationError: the inventory cannot be read.
    """
    boards = load_inventory()
    if name in boards:
        return [boards[name]]
    of_profile = [board for board in boards.values() if board.profile == name]
    return of_profile[:most] or [find_board(name)]


def find_board(name: str) -> Board:
    """The board of that name.

    Raises:
        NotFoundError: no such board; says so when it is the name of a profile.
        ConfigurationError: the inventory cannot be read.
    """
    boards = load_inventory()
    if name in boards:
        return boards[name]
    profiles = [profile.name for profile in list_profiles()]
    if name in profiles:
        raise NotFoundError(
            f"{name!r} is a board profile, and no board of the inventory is called so",
            mend=f"add the board to {inventory_path()}; `edgetvm package` needs no board",
        )
    raise NotFoundError(f"no board is called {name!r}", mend=_nearest(name, boards, profiles))


def _nearest(name: str, boards: Iterable[str], profiles: Iterable[str]) -> str:
    """The board that may have been meant, or else the profile of one."""
    near = difflib.get_close_matches(name, boards, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    mend = f"known boards: {', '.join(boards)}"
    near = difflib.get_close_matches(name, profiles, n=1)
    if near:
        mend += f"; {near[0]!r} is a board profile: add a board of it to {inventory_path()}"
    return mend
