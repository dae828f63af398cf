"""How a server is started with its board: by systemd, or by the init that a smaller system has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edgetvm.farm.layout_on_board import LAYOUT

Words = tuple[str, ...]

# The file of a release that becomes the hook.
AT_BOOT = "at-boot"

_UNIT = """\
[Unit]
Description=Runs packages of edgetvm for hosts that log in with SSH
StartLimitIntervalSec=0

[Service]
ExecStart={program} {arguments}
User={account}
Group={account}
WorkingDirectory={sessions}
UMask=0077
Restart=always
RestartSec=1
TimeoutStopSec=10
OOMPolicy=continue
MemoryMax={memory_percent}%
TasksMax={most_tasks}
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths={sessions}
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET
RestrictRealtime=yes
RemoveIPC=yes
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=multi-user.target
"""

# Its comment is for System V's tools.
_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides: {service}
# Required-Start: $local_fs
# Required-Stop: $local_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: Runs packages of edgetvm for hosts that log in with SSH
### END INIT INFO
exec {server} "${{1:-start}}"
"""


@dataclass(frozen=True)
class Init:
    """What starts programs when a board starts.

    Attributes:
        sign: word of the board's answer that it is known by.
        hook: file that starts the server, where it takes one.
        text: of that file.
        mode: of that file.
        enable: commands once it is there.
        disable: commands before it is removed.
        forget: commands after it was removed.
    """

    sign: str
    hook: str = ""
    text: str = ""
    mode: str = "0755"
    enable: tuple[Words, ...] = ()
    disable: tuple[Words, ...] = ()
    forget: tuple[Words, ...] = ()

    @property
    def start_with_board(self) -> tuple[Words, ...]:
        """Commands after which it starts the server of the release in use."""
        put = (("cp", f"{LAYOUT.current}/{AT_BOOT}", self.hook), ("chmod", self.mode, self.hook))
        return (*(put if self.hook else ()), *self.enable)

    @property
    def leave_alone(self) -> tuple[Words, ...]:
        """Commands after which it knows nothing of the server."""
        remove = (("rm", "-f", self.hook),) if self.hook else ()
        return (*self.disable, *remove, *self.forget)


_NAME = LAYOUT.service
_ADD_LINE = f"echo ::once:{LAYOUT.server} start >>/etc/inittab"
# The first whose sign a board shows.
_INITS = (
    Init(
        "systemd",
        LAYOUT.unit_file,
        _UNIT,
        "0644",
        enable=(("systemctl", "daemon-reload"), ("systemctl", "enable", "--quiet", _NAME)),
        disable=(("systemctl", "disable", "--now", "--quiet", _NAME),),
        forget=(("systemctl", "daemon-reload"),),
    ),
    Init(
        "rc-update",
        f"/etc/local.d/{_NAME}.start",
        _SCRIPT,
        enable=(
            ("sh", "-c", "[ -e /etc/runlevels/default/local ] || rc-update add local default"),
        ),
    ),
    Init(
        "rc",
        f"/etc/init.d/{_NAME}",
        _SCRIPT,
        enable=(("update-rc.d", _NAME, "defaults"),),
        forget=(("update-rc.d", _NAME, "remove"),),
    ),
    Init("rcS", f"/etc/init.d/S99{_NAME}", _SCRIPT),
    Init(
        "inittab",
        enable=(("sh", "-c", f"grep -q {LAYOUT.server} /etc/inittab || {_ADD_LINE}"),),
        disable=(("sed", "-i", f"\\|{LAYOUT.folder}/|d", "/etc/inittab"),),
    ),
)
NO_INIT = Init("")


def init_of(signs: Collection[str]) -> Init:
    """The init of a board that shows these signs; `NO_INIT` where none is known."""
    return next((init for init in _INITS if init.sign in signs), NO_INIT)
