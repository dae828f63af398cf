"""Control groups of emulated boards: one in each hierarchy that limits something."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edgetvm.farm.emulating.leftovers import GROUPS_FOLDER

_CONTROLLERS = ("memory", "pids", "cpu")


def make_groups(name: str, memory_bytes: int) -> list[Path]:
    """Make a board's control groups; none where the kernel does not let us, and nothing is limited.

    Args:
        name: no other board of this machine has it.
        memory_bytes: what all its processes have together.
    """
    if (GROUPS_FOLDER / "cgroup.controllers").exists():
        with contextlib.suppress(OSError):
            wanted = " ".join(f"+{one}" for one in _CONTROLLERS)
            (GROUPS_FOLDER / "cgroup.subtree_control").write_text(wanted)
        candidates = [GROUPS_FOLDER / name]
    else:
        candidates = [GROUPS_FOLDER / one / name for one in _CONTROLLERS]
    made = [group for group in candidates if _make(group)]
    for group in made:
        for limit in ("memory.max", "memory.limit_in_bytes"):
            if (group / limit).exists():
                (group / limit).write_text(str(memory_bytes))
    return made


def _make(group: Path) -> bool:
    try:
        group.mkdir(exist_ok=True)
    except OSError:  # no such hierarchy, or a container that may not
        return False
    return True
