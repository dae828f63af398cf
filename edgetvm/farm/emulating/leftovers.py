"""A number for each lab, and what a killed one has left behind.

A lab's number stands in its addresses and names. It belongs to whoever holds a lock on its file,
which the kernel takes back from a process that ends in any way.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.base.files import storage_errors
from edgetvm.farm.emulating.binfmt import forget
from edgetvm.farm.emulating.needs import program

RUN_FOLDER = Path("/run/edgetvm-emulated")
GROUPS_FOLDER = Path("/sys/fs/cgroup")

_MOST_LABS = 250
_GONE_DEADLINE_S = 5.0


def take_number() -> tuple[int, int]:
    """A number that no other lab has, and the descriptor that holds it.

    Raises:
        BoardError: all are taken.
        StorageError: the folder of locks cannot be written.
    """
    with storage_errors(RUN_FOLDER):
        RUN_FOLDER.mkdir(mode=0o711, exist_ok=True)
        for number in range(_MOST_LABS):
            descriptor = _locked(RUN_FOLDER / f"{number}.lock")
            if descriptor is not None:
                return number, descriptor
    raise BoardError(
        f"{_MOST_LABS} commands with emulated boards run already", mend="end some of them"
    )


def remove_leftovers() -> None:
    """Remove what is left of every lab whose owner is gone."""
    for path in RUN_FOLDER.glob("*.lock"):
        descriptor = _locked(path)
        if descriptor is not None:
            remove(int(path.stem))
            os.close(descriptor)


def remove(number: int) -> None:
    """Remove all that a lab has here beside its namespaces. Its processes are gone."""
    shutil.rmtree(RUN_FOLDER / str(number), ignore_errors=True)
    link = link_name(number)
    forget(link)
    if Path("/sys/class/net", link).exists():
        # The kernel may be taking it down this very moment.
        subprocess.run([program("ip"), "link", "delete", link], capture_output=True, check=False)
    for group in (*GROUPS_FOLDER.glob(f"*/{link}-*"), *GROUPS_FOLDER.glob(f"{link}-*")):
        _remove_group(group)


def link_name(number: int) -> str:
    """The lab's link on this machine; its other names begin with it, too."""
    return f"edgetvm{number}"


def _locked(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_group(group: Path) -> None:
    """Remove a control group, and those that the board has made in it.

    It may still hold processes that are ending.
    """
    until_s = time.monotonic() + _GONE_DEADLINE_S
    for folder in sorted((group, *group.rglob("*/")), key=lambda one: -len(one.parts)):
        while folder.is_dir() and time.monotonic() < until_s:
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.01)
