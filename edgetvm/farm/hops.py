"""Hosts on the way to a board, as OpenSSH's ProxyJump writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgetvm.base.errors import UsageError

_HOP = re.compile(
    r"(?:(?P<user>[^\s@,:-][^\s@,:]*)@)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s@,:\[\]-][^\s@,:\[\]]*))"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Hop:
    """A host with an SSH server; None is SSH's own choice."""

    host: str
    port: int | None = None
    user: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return f"{user}{host}:{self.port}" if self.port else f"{user}{host}"


def parse_hops(text: str) -> tuple[Hop, ...]:
    """Read `USER@HOST:PORT`, or several with commas, the nearest first.

    Raises:
        UsageError: not of that form.
    """
    return tuple(_hop(part) for part in text.split(","))


def _hop(text: str) -> Hop:
    found = _HOP.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"] or 22) < 65536:
        raise UsageError(f"{text!r} is no host to jump over", mend="write USER@HOST:PORT")
    port = int(found["port"]) if found["port"] else None
    return Hop(found["six"] or found["host"], port, found["user"])
