"""What this machine must have before it can play boards."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from edgetvm.base.errors import MissingToolError

# Program, or file, to the Debian package that has it.
_PACKAGES = {
    "arch-test": "arch-test",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def require_programs(more: Iterable[tuple[str, str]] = ()) -> None:
    """See that boards can be emulated here.

    Args:
        more: programs beside the usual ones, each with its Debian package.

    Raises:
        MissingToolError: this is no Linux, the user is not root, or programs are missing; it names
            the command that installs all of them.
    """
    if not sys.platform.startswith("linux"):
        raise MissingToolError("boards can be emulated on Linux only", mend="use a Linux machine")
    wanted = {**_PACKAGES, **dict(more)}
    missing = sorted({package for what, package in wanted.items() if not _is_there(what)})
    if missing:
        raise MissingToolError(
            f"boards cannot be emulated without {', '.join(missing)}",
            mend=f"apt-get install {' '.join(missing)}",
        )
    if os.geteuid() != 0:
        raise MissingToolError(
            "emulated boards are made of namespaces, mounts and network links, which only root "
            "may make",
            mend='run it as root: sudo -E "$(command -v edgetvm)" farm emulate',
        )


def program(name: str) -> str:
    """Where a program is, in folders that only root has on PATH, too.

    Raises:
        MissingToolError: nowhere.
    """
    found = shutil.which(name, path=":".join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))
    if found is None:
        raise MissingToolError(f"there is no {name} here", mend=f"apt-get install {name}")
    return found


def _is_there(what: str) -> bool:
    if what.startswith("/"):
        return Path(what).exists()
    try:
        program(what)
    except MissingToolError:
        return False
    return True
