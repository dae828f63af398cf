"""The way to a board: the inventory's words first, then the user's SSH configuration."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetvm.base.errors import ConfigurationError, UsageError
from edgetvm.farm.hops import Hop, parse_hops
from edgetvm.farm.inventory import Login

_PORT = 22
_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class Stop:
    """An SSH server on the way, with all that is needed to log in.

    Attributes:
        host: name or address.
        port: of the server.
        user: account there.
        key_files: private keys to try.
        named: whether the user has named them: one that cannot be used is an error then.
    """

    host: str
    port: int
    user: str
    key_files: tuple[Path, ...]
    named: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def known_as(self) -> str:
        """What known_hosts calls it."""
        return self.host if self.port == _PORT else f"[{self.host}]:{self.port}"


def route_to(login: Login) -> tuple[Stop, ...]:
    """Every stop on the way, the board itself last.

    Raises:
        ConfigurationError: the user's SSH configuration cannot be read.
    """
    config = _ssh_config()
    found = config(login.hop.host)
    jump = login.jump or _configured_jump(found)
    return tuple(_stop(hop, config(hop.host), login.key_file) for hop in (*jump, login.hop))


def ssh_folder() -> Path:
    """Where the user's SSH files lie."""
    return Path.home() / ".ssh"


def _ssh_config() -> Any:
    """A function that gives the configuration for a host."""
    import paramiko

    path = ssh_folder() / "config"
    if not path.is_file():
        return lambda host: {}
    try:
        return paramiko.SSHConfig.from_path(str(path)).lookup
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise ConfigurationError(
            f"not an SSH configuration: {error}", where=str(path), mend="check it with: ssh -G HOST"
        ) from error


def _configured_jump(found: dict[str, Any]) -> tuple[Hop, ...]:
    text = str(found.get("proxyjump", "none"))
    try:
        return () if text == "none" else parse_hops(text)
    except UsageError as error:
        raise ConfigurationError(
            f"ProxyJump {error.what}", where=str(ssh_folder() / "config"), mend=error.mend
        ) from error


def _stop(hop: Hop, found: dict[str, Any], key_file: Path | None) -> Stop:
    configured = tuple(Path(name).expanduser() for name in found.get("identityfile", ()))
    named = (key_file,) if key_file else configured
    usual = tuple(ssh_folder() / name for name in _USUAL_KEYS)
    return Stop(
        host=str(found.get("hostname", hop.host)),
        port=hop.port or int(found.get("port", _PORT)),
        user=hop.user or str(found.get("user", getpass.getuser())),
        key_files=named or tuple(path for path in usual if path.is_file()),
        named=bool(named),
    )
