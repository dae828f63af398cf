"""How much work a kernel must have for all cores to share it."""

from __future__ import annotations

from edgetvm.boards.profile import BoardProfile

# The C runtime starts the other cores in less than 1 us, and then what they wrote must come over.
# This is at nominal clock and full speed, of which kernels reach half: on Zen 5 two cores gained
# from it on all of eleven models, and from two and four times as much on fewer of them.
_SHARED_US = 6
# What the caches beyond the first give one core, at best.
_BYTES_A_CYCLE = 32
_FLOAT_BYTES = 4


def shared_by(multiply_adds: int, profile: BoardProfile, points: int | None = None) -> int:
    """The cores that share that much work, of float32: all or one.

    Args:
        multiply_adds: of the kernel.
        profile: of the board.
        points: that each weight is used for, where there are few: a product of one row takes as
            long as reading its weights does.
    """
    cycles = multiply_adds / profile.multiply_adds
    if points is not None:
        cycles = max(cycles, multiply_adds / points * _FLOAT_BYTES / _BYTES_A_CYCLE)
    return profile.cores if cycles >= _SHARED_US * profile.clock_mhz else 1
