"""What a board is wished to be: each wish compares what was found with it, and gives a step."""

from __future__ import annotations

from collections.abc import Iterable

from edgetvm.base.errors import BoardError
from edgetvm.base.units import format_bytes
from edgetvm.base.version import __version__
from edgetvm.farm.layout_on_board import LAYOUT
from edgetvm.farm.provision.found import Found, Head
from edgetvm.farm.provision.release import CHECKED, SERVER, SUMS, Release
from edgetvm.farm.provision.running import before, running_plan
from edgetvm.farm.provision.steps import Command, Step, commands

_LEAST_BYTES_A_S = 20_000
_LOGS = frozenset(f"{LAYOUT.log_file}{end}" for end in ("", ".1"))

_ACCOUNT = f"account {LAYOUT.account}, which nobody logs in to"
_KEY = "a key that lets clients in"
_REST = "nothing else is left there"

# Folders as they are to be: mode as `ls` tells it, owner and group.
_FOLDERS = {
    LAYOUT.folder: ("drwxr-xr-x", "root", "root"),
    LAYOUT.releases: ("drwxr-xr-x", "root", "root"),
    LAYOUT.state: ("drwxr-x---", "root", LAYOUT.account),
    LAYOUT.sessions: ("drwx------", LAYOUT.account, LAYOUT.account),
}


def plan(found: Found, release: Release) -> tuple[Step, ...]:
    """All steps from what was found to a board that serves the release.

    Raises:
        BoardError: it lacks what provisioning needs; or an account of that name is somebody's.
    """
    _require(found)
    program, key = _program(found, release), _key(found, release)
    return (
        _folders(found, LAYOUT.folder),
        program,
        _account(found),
        _folders(found, LAYOUT.state),
        key,
        *running_plan(found, release, is_new=bool(program.why or key.why)),
        _rest(found, release),
    )


def _require(found: Found) -> None:
    if found.rights != "root":
        raise BoardError(
            f"provisioning needs root there, and sudo says: {found.rights}",
            mend="log in as root, or let the account run sudo without a password",
        )
    missing = {"tar", "sha256sum", "od"} - found.tools
    if missing:
        raise BoardError(
            f"it has no {' and no '.join(sorted(missing))}", mend="install busybox or coreutils"
        )
    if found.account and not found.account.is_for_service:
        raise BoardError(
            f"somebody can log in to its account {LAYOUT.account}, which is to be the server's",
            mend="give that account another name",
        )


def _account(found: Found) -> Step:
    if found.account:
        return Step(_ACCOUNT)
    name = LAYOUT.account
    if "useradd" in found.tools:
        group = ("--gid", name) if found.has_group else ("--user-group",)
        home = ("--home-dir", LAYOUT.state, "--no-create-home")
        made = ("useradd", "--system", *group, *home, "--shell", "/usr/sbin/nologin", name)
        return Step(_ACCOUNT, "there is none", commands(made))
    if "adduser" not in found.tools:
        raise BoardError(
            "it has neither useradd nor adduser", mend="install busybox or the package passwd there"
        )
    new_group = () if found.has_group else (("addgroup", "-S", name),)
    options = ("-S", "-D", "-H", "-h", LAYOUT.state, "-s", "/sbin/nologin", "-G", name)
    user = ("adduser", *options, name)
    return Step(_ACCOUNT, "there is none", commands(*new_group, user))


def _folders(found: Found, top: str) -> Step:
    title = f"folder {top}"
    wrong = [path for path in _FOLDERS if path.startswith(top) and not _is_right(found, path)]
    missing = [path for path in wrong if path not in found.heads]
    if not wrong:
        return Step(title)
    made: list[tuple[str, ...]] = []
    for path in wrong:
        mode, owner, group = _FOLDERS[path]
        made += [("mkdir", "-p", path)] if path in missing else []
        made += [("chown", f"{owner}:{group}", path), ("chmod", _octal(mode), path)]
    why = f"there is no {missing[0]}" if missing else f"{wrong[0]} is not as it should be"
    return Step(title, why, commands(*made))


def _is_right(found: Found, path: str) -> bool:
    mode, owner, group = _FOLDERS[path]
    account = found.account
    uids = {"root": 0, LAYOUT.account: account.uid if account else -1}
    gids = {"root": 0, LAYOUT.account: account.gid if account else -1}
    return found.heads.get(path) == Head(mode, uids[owner], gids[group])


def _octal(mode: str) -> str:
    bits = "".join("0" if one == "-" else "1" for one in mode[1:])
    return f"{int(bits, 2):04o}"


def _program(found: Found, release: Release) -> Step:
    size = sum(map(len, release.files.values()))
    title = f"edgetvm {__version__}, {format_bytes(size)}"
    if all(found.sums.get(f"{release.name}/{file}") == one for file, one in release.sums.items()):
        return Step(title)
    if release.name in found.releases:
        why = "what is there is damaged"
    elif found.version and found.version != __version__:
        why = f"edgetvm {found.version} is there, and this is {__version__}"
    else:
        why = "another build or other settings are there" if found.current else "it is not there"
    data = release.archive()
    send = Command(
        (LAYOUT.releases, release.name, SUMS),
        "install.sh",
        data,
        60.0 + len(data) / _LEAST_BYTES_A_S,
    )
    return Step(title, why, (send,))


def _key(found: Found, release: Release) -> Step:
    gid = found.account.gid if found.account else -1
    if found.has_key and found.heads.get(LAYOUT.key_file) == Head("-rw-r-----", 0, gid):
        return Step(_KEY)
    why = "it is not as it should be" if LAYOUT.key_file in found.heads else "there is none"
    return Step(_KEY, why, commands((f"{release.folder}/{SERVER}", "make-key")))


def _rest(found: Found, release: Release) -> Step:
    kept = {release.name, before(found, release)} - {""}
    strays = [path for path in found.files if not _belongs(path, kept, release)]
    strays += [
        path
        for name in found.state_files
        if (path := f"{LAYOUT.state}/{name}") not in {LAYOUT.key_file, LAYOUT.sessions, *_LOGS}
    ]
    tops = _outermost(strays)
    why = ", ".join(path.rpartition("/")[2] for path in tops)
    return Step(_REST, why, commands(("rm", "-rf", "--", *tops)) if tops else ())


def _belongs(path: str, kept: Iterable[str], release: Release) -> bool:
    folders = {f"{LAYOUT.releases}/{name}" for name in kept}
    folder, _, name = path.rpartition("/")
    in_release = folder in folders and name in {*release.files, CHECKED}
    return path in {LAYOUT.releases, LAYOUT.current, *folders} or in_release


def _outermost(paths: Iterable[str]) -> list[str]:
    """Those that are in no other."""
    kept: list[str] = []
    for path in sorted(paths):
        if not any(path.startswith(f"{one}/") for one in kept):
            kept.append(path)
    return kept
