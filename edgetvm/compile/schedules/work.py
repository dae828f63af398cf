"""How much work a kernel must have for all cores to share it."""

from __future__ import annotations

from edgetvm.boards.profile import BoardProfile

# Starting the other cores takes 2 to 3 us, more where they are late. This is at nominal clock and
# full speed, of which kernels reach half: with less work two cores were slower than one on Zen 5.
_SHARED_US = 25


def shared_by(multiply_adds: int, profile: BoardProfile) -> int:
    """The cores that share that much work, of float32: all or one."""
    alone_us = multiply_adds / (profile.multiply_adds * profile.clock_mhz)
    return profile.cores if alone_us >= _SHARED_US else 1
