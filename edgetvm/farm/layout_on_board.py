"""Where things are on a board that `edgetvm provision` made ready: every name, once."""

from __future__ import annotations

from dataclasses import dataclass

# That the server listens on, on the board's loopback, unless the inventory has a `server_port`.
SERVER_PORT = 9090


@dataclass(frozen=True)
class Layout:
    """Names and paths on a board.

    Attributes:
        account: that the server runs as; nobody can log in to it.
        folder: belongs to root; `current` in it leads to the release in use.
        state: belongs to root, and the account reads it; only `sessions` in it is the account's.
        service: name of the service, where systemd or another init knows it by one.
        pid_file: of who watches over the server, where there is no systemd.
        cgroup: control group of all its processes, where there is no systemd.
    """

    account: str = "edgetvm"
    folder: str = "/opt/edgetvm"
    state: str = "/var/lib/edgetvm"
    service: str = "edgetvm-board"
    pid_file: str = "/run/edgetvm-board.pid"
    cgroup: str = "edgetvm"

    @property
    def releases(self) -> str:
        """A folder for each release."""
        return f"{self.folder}/releases"

    @property
    def current(self) -> str:
        """The release in use."""
        return f"{self.folder}/current"

    @property
    def program(self) -> str:
        """The board's program."""
        return f"{self.current}/edgetvm-board"

    @property
    def server(self) -> str:
        """A script for root: `start`, `stop`, `restart`, and `new-key`, which cuts off whoever has
        the old key and prints the new one."""
        return f"{self.current}/server"

    @property
    def key_file(self) -> str:
        """The key that lets clients in."""
        return f"{self.state}/key"

    @property
    def sessions(self) -> str:
        """Files of sessions."""
        return f"{self.state}/sessions"

    @property
    def log_file(self) -> str:
        """What the server says, where there is no journal."""
        return f"{self.state}/log"

    @property
    def unit_file(self) -> str:
        """What systemd knows of the server."""
        return f"/etc/systemd/system/{self.service}.service"


LAYOUT = Layout()
