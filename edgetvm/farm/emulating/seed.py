"""What lies on an emulated board's disk when it is first switched on: its name, its keys."""

from __future__ import annotations

import os
from pathlib import Path

from edgetvm.farm.emulating.conditions import Conditions
from edgetvm.farm.emulating.keys import authorized_key, kept_key
from edgetvm.farm.emulating.userland import MUSL_FOLDER, SSHD_CONFIG, SUDOERS, UID, USER


def write_seed(name: str, address: str, conditions: Conditions, folder: Path) -> None:
    """Write the files that are copied over a board's userland."""
    host_key, authorized = kept_key(f"host {address}"), authorized_key()
    private, public = host_key.read_text(), Path(f"{host_key}.pub").read_text()
    home = f"home/{USER}"
    _write(folder, "etc/ssh/ssh_host_ed25519_key", private, 0o600)
    _write(folder, "etc/ssh/ssh_host_ed25519_key.pub", public)
    _write(folder, "root/.ssh/authorized_keys", authorized)
    _write(folder, f"{home}/.ssh/authorized_keys", authorized)
    for path in (home, f"{home}/.ssh", f"{home}/.ssh/authorized_keys"):
        os.chown(folder / path, UID, UID)
    _write(folder, "etc/hostname", f"{name}\n")
    _write(folder, "etc/hosts", f"127.0.0.1 localhost {name}\n")
    if conditions.musl:
        _write(folder, "etc/ssh/sshd_config", f"{SSHD_CONFIG}ChrootDirectory /{MUSL_FOLDER}\n")
    if not conditions.sudo:
        _write(folder, "etc/sudoers", SUDOERS, 0o440)


def _write(folder: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file. Folders are copied with their permissions: not those of this user's umask."""
    path = folder
    for part in ("", *Path(name).parent.parts):
        path /= part
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    path /= Path(name).name
    path.write_text(text)
    path.chmod(mode)
