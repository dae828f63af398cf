"""What stands in an inventory file: boards, groups of boards, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import UsageError
from edgetvm.base.units import parse_bytes, parse_duration_s
from edgetvm.base.yamlfile import KeyPath
from edgetvm.farm.hops import parse_hops
from edgetvm.farm.meter import Meter
from edgetvm.farm.power import Power
from edgetvm.farm.secret import SecretReference
from edgetvm.farm.tracker_client import Address

_STRICT = ConfigDict(extra="forbid")
THIS_MACHINE = "local"


def _tracker(text: str) -> str:
    try:
        Address.parse(text)
    except UsageError as error:
        raise ValueError("an address as HOST:PORT, for example 127.0.0.1:9190") from error
    return text


def _jump(text: str) -> str:
    try:
        parse_hops(text)
    except UsageError as error:
        raise ValueError("a host as USER@HOST:PORT, or several with commas") from error
    return text


def _board_name(name: str) -> str:
    if name == THIS_MACHINE:
        raise ValueError("another name: that one is this machine's")
    return name


def _size(value: Any) -> Any:
    try:
        parse_bytes(str(value))
    except ValueError as error:
        raise ValueError("a size as 512M or 4G") from error
    return str(value)


def _time(value: Any) -> Any:
    try:
        parse_duration_s(str(value))
    except ValueError as error:
        raise ValueError("a time as 90s, 30m or 2h") from error
    return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
# Neither blanks nor what ssh would take for an option.
Word = Annotated[str, Field(pattern=r"^[^\s@-][^\s@]*$")]


@dataclass(frozen=True, config=_STRICT)
class Limits:
    """What a board gives to one session at most."""

    memory: Annotated[
        str | None,
        BeforeValidator(_size),
        Field(description="Memory, as `512M` or `4G`; `edgetvm provision` tells the server there."),
    ] = None
    time: Annotated[
        str | None, BeforeValidator(_time), Field(description="Time, as `90s`, `30m` or `2h`.")
    ] = None

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of memory; None for no limit."""
        return parse_bytes(self.memory) if self.memory else None

    @property
    def time_s(self) -> float | None:
        """Seconds; None for no limit."""
        return parse_duration_s(self.time) if self.time else None


@dataclass(frozen=True, config=_STRICT)
class BoardEntry:
    """What is known of a board, or common to the boards of a group."""

    profile: Annotated[str | None, Field(description="Name of its board profile, as `rpi4`.")] = (
        None
    )
    host: Annotated[
        Word | None, Field(description="Name or address that its SSH server is reached at.")
    ] = None
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="Port of its SSH server; 22 without it.")
    ] = None
    user: Annotated[
        Word | None, Field(description="Account there; SSH's own choice without it.")
    ] = None
    key_file: Annotated[
        str | None, Field(description="Private key to log in with: `~/.ssh/boards`.")
    ] = None
    passphrase: Annotated[
        SecretReference | None, Field(description="Where the passphrase of `key_file` is kept.")
    ] = None
    password: Annotated[
        SecretReference | None,
        Field(description="Where the account's password is kept, for a board without keys."),
    ] = None
    jump: Annotated[
        str | None,
        AfterValidator(_jump),
        Field(description="Host that leads to it, `USER@HOST:PORT`; several with commas."),
    ] = None
    tags: Annotated[tuple[Name, ...], Field(description="Words to select it by.")] = ()
    power: Annotated[Power | None, Field(description="How its power is switched.")] = None
    meter: Annotated[Meter | None, Field(description="What tells the power that it takes.")] = None
    limits: Annotated[Limits | None, Field(description="What one session gets at most.")] = None
    server_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="Port of the board's own loopback that its server listens on, where "
            "`edgetvm provision` made it; 9090 without it.",
        ),
    ] = None
    tracker: Annotated[
        str | None,
        AfterValidator(_tracker),
        Field(
            description="HOST:PORT of the tracker that its RPC server registers with, where "
            "somebody else runs that server."
        ),
    ] = None
    key: Annotated[
        str | None,
        Field(description="Key that its RPC server registers under; its name without it."),
    ] = None


BoardName = Annotated[Name, AfterValidator(_board_name)]


@dataclass(frozen=True, config=_STRICT)
class Group:
    """A group of boards. It stands wherever it is named; all its places together are the group."""

    defaults: Annotated[
        BoardEntry | None, Field(description="Holds for its boards, unless they say otherwise.")
    ] = None
    boards: Annotated[
        Mapping[BoardName, BoardEntry | None],
        Field(description="Its boards by name, with what is not said of them elsewhere."),
    ] = field(default_factory=dict)
    groups: Annotated[
        Mapping[Name, Group | None], Field(description="Groups inside it, by name.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class InventoryFile:
    """An inventory file: the group of all boards."""

    defaults: Annotated[
        BoardEntry | None,
        Field(description="Holds for all boards, unless a group or board differs."),
    ] = None
    boards: Annotated[
        Mapping[BoardName, BoardEntry | None], Field(description="Boards by name.")
    ] = field(default_factory=dict)
    groups: Annotated[
        Mapping[Name, Group | None], Field(description="Groups of boards, by name.")
    ] = field(default_factory=dict)


def places(file: InventoryFile) -> Iterator[tuple[KeyPath, Group]]:
    """Every place where a group stands, the file itself first: its key path, and what is there."""
    open_places: list[tuple[KeyPath, Group]] = [
        ((), Group(file.defaults, file.boards, file.groups))
    ]
    while open_places:
        at, group = open_places.pop(0)
        yield at, group
        open_places += [
            ((*at, "groups", name), below or Group()) for name, below in group.groups.items()
        ]
