"""Host keys that the user's SSH knows: in ~/.ssh/known_hosts, and in /etc/ssh/ssh_known_hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgetvm.base.errors import HostKeyError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.farm.ssh.route import Stop, ssh_folder

_OF_THE_SYSTEM = Path("/etc/ssh/ssh_known_hosts")
_REVOKED = "@revoked"


def known_hosts_path() -> Path:
    """The user's own file."""
    return ssh_folder() / "known_hosts"


def known_keys(stop: Stop) -> list[Any]:
    """The keys (of paramiko) that are known of a host."""
    return _marked(stop.known_as, "")


def _marked(name: str, marker: str) -> list[Any]:
    """The keys of the lines that apply to a host and have that marker."""
    files = (known_hosts_path(), _OF_THE_SYSTEM)
    return [key for path in files for key in _keys_in(path, name, marker)]


def check_host_key(stop: Stop, key: Any, where: str, rekey: str, accept_new: bool) -> None:
    """Let a host pass whose key is known, or is unknown and accepted.

    Args:
        stop: the host.
        key: that it has shown.
        where: for errors.
        rekey: the command that forgets the keys that are known of it.
        accept_new: whether to note the key of a host of which none is known.

    Raises:
        HostKeyError: the key is unknown, revoked, or another than those that are known.
        StorageError: known_hosts cannot be written.
    """
    if key in _marked(stop.known_as, _REVOKED):
        raise HostKeyError(
            f"it shows a host key that is revoked: {key.get_name()} {key.fingerprint}",
            where=where,
            mend="somebody else has that key: give the host a new one",
        )
    known = known_keys(stop)
    # As OpenSSH has it: a key of the same host at SSH's usual port is good at another.
    if key in known or (not known and key in _marked(stop.host, "")):
        return
    if known:
        raise HostKeyError(
            f"its host key has changed: it shows {key.get_name()} {key.fingerprint}, and known is "
            + ", ".join(f"{one.get_name()} {one.fingerprint}" for one in known),
            where=where,
            mend=f"if it was installed anew: {rekey}; if not, somebody may be listening",
        )
    if not accept_new:
        raise HostKeyError(
            f"its host key is not known: {key.get_name()} {key.fingerprint}",
            where=where,
            mend="compare it with the host's own, then: "
            "edgetvm devices check --accept-new-host-key",
        )
    note_key(stop, key)


def note_key(stop: Stop, key: Any) -> None:
    """Add a host's key to the user's known_hosts.

    Raises:
        StorageError: it cannot be written.
    """
    path = known_hosts_path()
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        text = path.read_text() if path.exists() else ""
        begin = "" if not text or text.endswith("\n") else "\n"
        with path.open("a") as file:
            file.write(f"{begin}{stop.known_as} {key.get_name()} {key.get_base64()}\n")


def forget_keys(stop: Stop) -> None:
    """Take a host's keys out of the user's known_hosts; other lines stay as they are.

    Raises:
        StorageError: it cannot be written.
    """
    path = known_hosts_path()
    if not path.exists():
        return
    with storage_errors(path):
        lines = path.read_text().splitlines(keepends=True)
    kept = [without for line in lines if (without := _without(line, stop.known_as))]
    if kept != lines:
        write_text(path.resolve(), "".join(kept))


def _without(line: str, name: str) -> str:
    """A line without one of its host names; empty if it has no other."""
    names, space, rest = line.partition(" ")
    if line.startswith(("#", "@")) or not space:
        return line
    kept = [one for one in names.split(",") if not _is_name(one, name)]
    if len(kept) == len(names.split(",")):
        return line
    return f"{','.join(kept)} {rest}" if kept else ""


def _is_name(written: str, name: str) -> bool:
    from paramiko.hostkeys import HostKeys

    if written.startswith("|1|"):
        try:
            return bool(HostKeys.hash_host(name, written) == written)
        except (ValueError, IndexError):
            return False
    return written.lower() == name.lower()


def _applies(names: str, name: str) -> bool:
    """Whether a line's list of names and patterns means a host; sshd(8) has the rules."""
    patterns = names.split(",")
    if any(one.startswith("!") and _fits(one[1:], name) for one in patterns):
        return False
    return any(_fits(one, name) for one in patterns)


def _fits(pattern: str, name: str) -> bool:
    expression = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return _is_name(pattern, name) or re.fullmatch(expression, name.lower()) is not None


def _keys_in(path: Path, name: str, marker: str) -> list[Any]:
    from paramiko.hostkeys import HostKeyEntry

    if not path.is_file():
        return []
    with storage_errors(path):
        lines = path.read_text(errors="replace").splitlines()
    found = []
    for line in lines:
        words = line.split()
        if words and words[0].startswith("@"):
            if words.pop(0) != marker:
                continue
        elif marker or line.startswith("#"):
            continue
        if not words or not _applies(words[0], name):
            continue
        try:
            entry = HostKeyEntry.from_line(" ".join(words))
        except Exception:  # paramiko falls over damaged lines in many ways; OpenSSH goes on
            continue
        if entry is not None and entry.key is not None:
            found.append(entry.key)
    return found
