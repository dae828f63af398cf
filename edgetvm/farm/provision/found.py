"""What provisioning finds on a board: the answer of `on_board/provisioned.sh`, read.

All judgement is here and in the wishes, so that the answer of a strange board can be saved and
becomes a test (`tests/farm/provision/`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from edgetvm.base.errors import BoardError
from edgetvm.base.words import printable
from edgetvm.farm.facts import Facts, facts_script, parse_facts, sections
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.inits import Init, init_of
from edgetvm.farm.provision.release import shell_names

_VERSION = "1"
_NO_SHELLS = ("/nologin", "/false", "/true")
_HEAD = re.compile(
    r"(?P<mode>[-a-z]{10})\S*\s+\d+\s+(?P<uid>\d+)\s+(?P<gid>\d+)\s.*\s(?P<path>/\S+)"
)
_SUM = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<path>\S.*)")
_RUNS = re.compile(rf"{LAYOUT.releases}/(\w+)/(edgetvm-board|server) (?:\S+ )*?(serve|watch) ")
_PROGRAM_SAYS = re.compile(r"edgetvm-board (\S+) \(\S+\)")


@dataclass(frozen=True)
class Account:
    """An account of the board."""

    uid: int
    gid: int
    shell: str

    @property
    def is_for_service(self) -> bool:
        """Whether nobody can log in to it."""
        return self.uid != 0 and self.shell.endswith(_NO_SHELLS)


@dataclass(frozen=True)
class Head:
    """A file or folder: its mode as `ls` tells it, `drwxr-x---`, and whose it is."""

    mode: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Found:
    """How a board stands.

    Attributes:
        facts: what it is.
        rights: `root`, or what sudo says to whoever has logged in.
        by_sudo: whether those rights come from sudo.
        tools: programs that it has, of those that matter.
        init: that starts its programs.
        account: of the server.
        has_group: whether a group of that name is there.
        heads: of folders and files, by path.
        current: name of the release in use; empty without one.
        version: of its program, as that tells it.
        releases: their names, the newest first.
        files: of edgetvm's folder, all paths below it.
        state_files: names in the folder of the state.
        sums: SHA-256 of the releases' files, by path below `releases`.
        has_key: whether a key of the right form is there.
        serving: releases whose server runs.
        watching: releases that watch over a server.
        hooks: SHA-256 of files that start it with the board, by path.
        is_enabled: whether the init is told to use them.
        groups: control groups of a server without systemd.
    """

    facts: Facts
    rights: str
    by_sudo: bool
    tools: frozenset[str]
    init: Init
    account: Account | None
    has_group: bool
    heads: Mapping[str, Head]
    current: str
    version: str
    releases: tuple[str, ...]
    files: tuple[str, ...]
    state_files: tuple[str, ...]
    sums: Mapping[str, str]
    has_key: bool
    serving: frozenset[str]
    watching: frozenset[str]
    hooks: Mapping[str, str]
    is_enabled: bool
    groups: tuple[str, ...]


def found_script() -> bytes:
    """The script that asks a board, all at once; it goes to `sh -s`."""
    own = resources.files("edgetvm.farm").joinpath("on_board/provisioned.sh").read_bytes()
    return facts_script() + shell_names().encode() + own


def parse_found(answer: str) -> Found:
    """Read what the script answered.

    Raises:
        BoardError: it is no such answer, or a part of one.
    """
    facts = parse_facts(answer)
    said = sections(answer)
    if said.get("edgetvm-provisioned", "").strip() != _VERSION or "provisioned-end" not in said:
        raise BoardError(
            "it does not tell how it is provisioned, or not to the end",
            mend="run the same command again; is its shell POSIX?",
        )

    def lines(name: str) -> tuple[str, ...]:
        return tuple(line for line in said.get(name, "").splitlines() if line)

    tools = frozenset(lines("tools"))
    runs = [found.groups() for line in lines("serving") if (found := _RUNS.search(f"{line} "))]
    version = _PROGRAM_SAYS.match(said.get("version", ""))
    return Found(
        facts=facts,
        rights=printable(said.get("rights", "").strip()) or "there is no sudo",
        by_sudo="sudo-user" in said,
        tools=tools,
        init=init_of(tools | ({"systemd"} if facts.systemd else set())),
        account=_account(lines("account")),
        has_group="group" in said,
        heads={
            one["path"]: _head(one) for line in lines("heads") if (one := _HEAD.fullmatch(line))
        },
        current=said.get("current", "").strip().rpartition("/")[2],
        version=version[1] if version else "",
        releases=lines("releases"),
        # Of names with a line's end in them only what is below the folder can be meant.
        files=tuple(line for line in lines("files") if line.startswith(f"{LAYOUT.folder}/")),
        state_files=tuple(line[2:] for line in lines("state") if line.startswith("./")),
        sums=_sums(lines("sums")),
        has_key=said.get("key", "").strip() == "1",
        serving=frozenset(name for name, file, _ in runs if file == "edgetvm-board"),
        watching=frozenset(name for name, file, _ in runs if file == "server"),
        hooks=_sums(lines("boot")),
        is_enabled="boot-link" in said,
        groups=lines("cgroups"),
    )


def _account(lines: tuple[str, ...]) -> Account | None:
    words = lines[0].split(":") if lines else []
    if len(words) != 7 or not (words[2].isdecimal() and words[3].isdecimal()):
        return None
    return Account(int(words[2]), int(words[3]), words[6])


def _head(found: re.Match[str]) -> Head:
    return Head(found["mode"], int(found["uid"]), int(found["gid"]))


def _sums(lines: tuple[str, ...]) -> dict[str, str]:
    matches = (_SUM.fullmatch(line) for line in lines)
    return {one["path"].removeprefix("./"): one["sum"] for one in matches if one}
