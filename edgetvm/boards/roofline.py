"""What a board can do at best: multiply-adds in its cores, and bytes from its memory.

A kernel takes at least as long as the slower of the two. Williams et al. 2009, "Roofline: an
insightful visual performance model for multicore architectures".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgetvm.boards.profile import BoardProfile


@dataclass(frozen=True)
class Bound:
    """The least time that a call of a kernel can take.

    Attributes:
        ms: of one call.
        by: what takes that long: the multiply-adds, or bringing its tensors from memory.
    """

    ms: float
    by: Literal["cores", "memory"]


@dataclass(frozen=True)
class Roofline:
    """What so many cores of a board can do at best.

    Attributes:
        gflops: float32, by the profile, a multiply-add counted as two operations.
        memory_gbs: gigabytes a second that come from memory; None where nobody knows.
        cache_bytes: that the last level of the caches holds: tensors that fit need no memory.
        is_measured: whether `memory_gbs` was measured there; else the profile states it.
    """

    gflops: float
    memory_gbs: float | None = None
    cache_bytes: int = 0
    is_measured: bool = False

    def bound(self, multiply_adds: int, moved_bytes: int, in_floats: bool = True) -> Bound | None:
        """What holds a kernel up.

        Args:
            multiply_adds: of one call.
            moved_bytes: of all its tensors.
            in_floats: whether it computes in floating point.

        Returns:
            None where no bound is known: kernels that multiply 8-bit numbers, and those that
            multiply nothing and whose tensors fit into the caches.
        """
        if multiply_adds and not in_floats:
            return None
        cores_ms = 2 * multiply_adds / self.gflops / 1e6 if self.gflops else 0.0
        memory_ms = 0.0
        if self.memory_gbs and moved_bytes > self.cache_bytes:
            memory_ms = moved_bytes / self.memory_gbs / 1e6
        if not cores_ms and not memory_ms:
            return None
        return Bound(memory_ms, "memory") if memory_ms > cores_ms else Bound(cores_ms, "cores")


def roofline_of(
    profile: BoardProfile, threads: int | None = None, memory_gbs: float | None = None
) -> Roofline:
    """The roofline of a profile's board.

    Args:
        profile: of the board.
        threads: that share the work, each on a core of its own; all cores without it.
        memory_gbs: what `edgetvm.farm.memory_rate` measured; what the profile states without it.
    """
    cores = min(threads or profile.cores, profile.cores)
    cache = profile.cache
    return Roofline(
        2 * profile.multiply_adds * profile.clock_mhz * cores / 1e3,
        profile.memory_gbs if memory_gbs is None else memory_gbs,
        max(cache.l2_bytes, cache.l3_bytes),
        memory_gbs is not None,
    )


def share_of(bound: Bound | None, latency_ms: float) -> float | None:
    """How near a kernel comes to its bound, 0 to 1.

    Returns:
        None without a bound, and where a kernel is quicker than that: a clock above the profile's,
        which is the present one where a machine tells no highest; Winograd's form, whose
        multiply-adds are counted as the direct form's and are fewer.
    """
    if bound is None or latency_ms <= 0 or bound.ms > latency_ms:
        return None
    return bound.ms / latency_ms


def gflops_of(multiply_adds: int, latency_ms: float) -> float:
    """A multiply-add counted as two operations; 0 where the latency is not known."""
    return 2 * multiply_adds / latency_ms / 1e6 if latency_ms else 0.0
