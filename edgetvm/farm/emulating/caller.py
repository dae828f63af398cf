"""Who has called root: with sudo, the files that a user needs must be that user's."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from edgetvm.base.paths import cache_folder


def hand_over(path: Path) -> None:
    """Make a file that of the user who called sudo; nothing to do without sudo."""
    if caller := _caller():
        os.chown(path, caller.pw_uid, caller.pw_gid, follow_symlinks=False)


def hand_over_cache() -> None:
    """Give the user the folders of the cache that root has made in the user's home.

    What is in userlands stays root's.
    """
    caller, cache = _caller(), cache_folder()
    if caller is None or not cache.is_relative_to(caller.pw_dir):
        return
    above = [one for one in cache.parents if one != Path(caller.pw_dir)]
    made = [one for one in above if one.is_relative_to(caller.pw_dir)]
    for folder in (*made, cache, *cache.glob("*/")):
        # A link there is the user's own, and may lead to what must stay root's.
        if folder.lstat().st_uid == 0:
            os.chown(folder, caller.pw_uid, caller.pw_gid, follow_symlinks=False)


def _caller() -> pwd.struct_passwd | None:
    number = os.environ.get("SUDO_UID", "")
    try:
        return pwd.getpwuid(int(number)) if number.isdigit() else None
    except KeyError:
        return None
