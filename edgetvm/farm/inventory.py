"""The user's boards: those of the inventory file, and this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.base.paths import config_folder
from edgetvm.base.yamlfile import Located, nearest, read_located
from edgetvm.boards.profile import profile_names
from edgetvm.farm.grouping import Settled, settle
from edgetvm.farm.hops import Hop, parse_hops
from edgetvm.farm.inventory_file import THIS_MACHINE, InventoryFile, Limits
from edgetvm.farm.layout_on_board import SERVER_PORT
from edgetvm.farm.meter import Meter
from edgetvm.farm.power import Power
from edgetvm.farm.secret import Secret
from edgetvm.farm.tracker_client import Address

_VARIABLE = "EDGETVM_INVENTORY"
_SSH_PORT = 22


@dataclass(frozen=True)
class Login:
    """How a board is logged in to. None and empty values are SSH's own choice.

    Attributes:
        hop: host, port and user.
        jump: hosts that lead to it, the nearest first.
        key_file: private key to log in with.
        passphrase: of that key.
        password: of the account.
    """

    hop: Hop
    jump: tuple[Hop, ...] = ()
    key_file: Path | None = None
    passphrase: Secret | None = None
    password: Secret | None = None


class Hand(Protocol):
    """That a board is in this process's hands, by a lease of a farm."""

    def where(self) -> tuple[Address, str] | None:
        """Tracker and key of its server as they are now; None where the holder reaches it himself.

        Raises:
            LeaseLostError: the lease is over.
        """

    def prove(self) -> None:
        """See in the farm's database that the lease, if there is one now, still stands.

        Raises:
            LeaseLostError: it is over.
            StorageError: the database cannot be used.
        """


@dataclass(frozen=True)
class Board:
    """A board to work on.

    Attributes:
        name: in the inventory; `local` for this machine.
        profile: name of its board profile.
        tracker: where its server registers; None where no server is known.
        key: that its server registers under.
        login: how SSH reaches it; None for a board whose server somebody else runs.
        tags: words to select it by.
        groups: that it belongs to.
        power: how its power is switched.
        meter: that tells how much it takes.
        limits: what one session gets at most.
        server_port: of its loopback, that the server which provisioning makes listens on.
        hand: that holds it; None where no farm gives it.
    """

    name: str
    profile: str
    tracker: Address | None = None
    key: str = ""
    login: Login | None = None
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    power: Power | None = None
    meter: Meter | None = None
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen
    server_port: int = SERVER_PORT
    hand: Hand | None = field(default=None, compare=False, repr=False)

    @property
    def shares_cores(self) -> bool:
        """Whether what this machine computes slows it down."""
        return self.name == THIS_MACHINE

    def registered_with(self, tracker: Address) -> Board:
        """The board as a tracker knows it: by its key, or else by its name."""
        return replace(self, tracker=tracker, key=self.key or self.name)

    def now(self) -> Board:
        """The board with its server as it is reached now: with a new lease it is another.

        Raises:
            LeaseLostError: it is in this process's hands no more.
        """
        found = self.hand.where() if self.hand is not None else None
        return self if found is None else replace(self, tracker=found[0], key=found[1])


LOCAL = Board(THIS_MACHINE, "local")


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
    named = path is not None or bool(os.environ.get(_VARIABLE))
    path = path or inventory_path()
    if not path.exists() and not named:
        return {LOCAL.name: LOCAL}
    if not path.exists() and path == inventory_path():
        raise ConfigurationError(
            "no such file", where=str(path), mend=f"{_VARIABLE} names it: unset that, or check it"
        )
    file = read_located(path, InventoryFile)
    settled = settle(file)
    for name, of_board in settled.items():
        _check(file, name, of_board)
    _check_addresses(file, settled)
    return {LOCAL.name: LOCAL} | {name: _board(name, of) for name, of in settled.items()}


def _check(file: Located[InventoryFile], name: str, settled: Settled) -> None:
    """Refuse a board that lacks something, or whose profile there is not."""
    said = settled.said
    needs = (
        ("profile", True),
        ("key", "tracker" in said),
        ("tracker", "key" in said and "host" not in said),
    )
    for key, needed in needs:
        if needed and key not in said:
            raise file.refusal((*settled.at, key), "is missing", f"add `{key}: …`")
    if "host" not in said and "tracker" not in said:
        raise file.refusal(
            settled.at, "cannot be reached", "add `host: …`, or `tracker` and `key` of its server"
        )
    known = profile_names()
    if said["profile"].value not in known:
        raise file.refusal(
            said["profile"].at,
            f"is {said['profile'].value!r}, and there is no such board profile",
            nearest(said["profile"].value, known, "profiles"),
        )


def _check_addresses(file: Located[InventoryFile], settled: Mapping[str, Settled]) -> None:
    """Refuse two boards at one address."""
    first: dict[tuple[object, ...], str] = {}
    for name, of_board in settled.items():
        if "host" not in of_board.said:
            continue
        hop = _login(of_board).hop
        jump = of_board.said["jump"].value if "jump" in of_board.said else None
        other = first.setdefault((hop.host.lower(), hop.port or _SSH_PORT, jump), name)
        if other != name:
            raise file.refusal(
                of_board.said["host"].at,
                f"and port are those of {other}, too",
                "give each board its own address, or drop one of the two",
            )


def _board(name: str, settled: Settled) -> Board:
    values = {key: said.value for key, said in settled.said.items()}
    tracker = values.get("tracker")
    return Board(
        name=name,
        profile=values["profile"],
        tracker=Address.parse(tracker) if tracker else None,
        key=values.get("key", ""),
        login=_login(settled) if "host" in values else None,
        tags=settled.tags,
        groups=settled.groups,
        power=values.get("power"),
        meter=values.get("meter"),
        limits=values.get("limits", Limits()),
        server_port=values.get("server_port", SERVER_PORT),
    )


def _login(settled: Settled) -> Login:
    values = {key: said.value for key, said in settled.said.items()}
    return Login(
        hop=Hop(values["host"], values.get("port"), values.get("user")),
        jump=parse_hops(values["jump"]) if "jump" in values else (),
        key_file=Path(values["key_file"]).expanduser() if "key_file" in values else None,
        passphrase=values.get("passphrase"),
        password=values.get("password"),
    )


def find_board(name: str) -> Board:
    """The board of that name.

    Raises:
        NotFoundError: no such board; says so when it is the name of a profile.
        ConfigurationError: the inventory cannot be read.
    """
    boards = load_inventory()
    if name in boards:
        return boards[name]
    profiles = profile_names()
    if name in profiles:
        raise NotFoundError(
            f"{name!r} is a board profile, and no board of the inventory is called so",
            mend=f"add the board to {inventory_path()}; `edgetvm package`, `edgetvm estimate` and "
            "`edgetvm tune --estimate` need none",
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


def with_login(board: Board) -> Login:
    """How SSH reaches the board.

    Raises:
        ConfigurationError: the inventory does not say.
    """
    if board.login is None:
        raise ConfigurationError(
            "it has no `host` in the inventory, so SSH cannot reach it",
            where=f"board {board.name}",
            mend=f"add `host: …` to it in {inventory_path()}",
        )
    return board.login
