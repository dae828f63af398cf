"""How much work a kernel must have for all cores to share it."""

from __future__ import annotations

from edgetvm.boards.profile import BoardProfile

# Multiply-adds that one core does in the time that starting the others takes (2 to 3 us), several
# times over, so that sharing pays even where the other core is late.
SHARED_WORK = 500_000


def shared_by(multiply_adds: int, profile: BoardProfile) -> int:
    """The cores that share that much work: all or one."""
    return profile.cores if multiply_adds >= SHARED_WORK else 1
