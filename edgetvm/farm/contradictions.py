"""Where a board is not what its profile says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgetvm.base.units import format_bytes
from edgetvm.boards.detect import core_name, fastest_cores
from edgetvm.boards.machine import Core, Machine
from edgetvm.boards.profile import BoardProfile

# A kernel keeps some of the memory for itself, and firmware for its graphics.
_LEAST_MEMORY = 0.75
_MOST_MEMORY = 1.05
_CLOCK = 0.2
# Features of 64-bit kernels that stand for those of their 32-bit programs.
_ALSO = {"asimd": ("neon", "vfpv4", "vfpv3", "vfp")}


@dataclass(frozen=True)
class Contradiction:
    """One of them.

    Attributes:
        key: of the profile.
        profile: what it says.
        board: what the board is.
        harmless: whether code for the profile still runs on the board.
    """

    key: str
    profile: str
    board: str
    harmless: bool = True

    def __str__(self) -> str:
        return f"{self.key}: the profile says {self.profile}, the board {self.board}"


def contradictions(machine: Machine, profile: BoardProfile) -> list[Contradiction]:
    """All of them; what the board does not tell contradicts nothing."""
    if machine.architecture != profile.architecture:
        return [Contradiction("triple", profile.architecture, machine.architecture, harmless=False)]
    cores = fastest_cores(machine)
    if not cores:
        return []
    return [
        *_flags(cores[0], profile),
        *_core(cores[0], profile),
        *_cores(machine, cores, profile),
        *_caches(cores[0], profile),
        *_memory(machine, profile),
    ]


def _flags(core: Core, profile: BoardProfile) -> Iterator[Contradiction]:
    present = core.flags.union(*(_ALSO.get(flag, ()) for flag in core.flags))
    missing = [flag for flag in profile.required_cpu_flags if flag not in present]
    if missing and core.flags:
        needed = ", ".join(profile.required_cpu_flags)
        yield Contradiction(
            "required_cpu_flags", needed, f"lacks {', '.join(missing)}", harmless=False
        )


def _core(core: Core, profile: BoardProfile) -> Iterator[Contradiction]:
    name = core_name(core)
    if core.part and name not in ("generic", profile.cpu):
        yield Contradiction("cpu", profile.cpu, name)
    if core.max_mhz and abs(core.max_mhz / profile.clock_mhz - 1) > _CLOCK:
        yield Contradiction("clock_mhz", str(profile.clock_mhz), str(core.max_mhz))


def _cores(machine: Machine, fastest: list[Core], profile: BoardProfile) -> Iterator[Contradiction]:
    if profile.cores not in (len(fastest), len(machine.cores)):
        yield Contradiction("cores", str(profile.cores), str(len(fastest)))


def _caches(core: Core, profile: BoardProfile) -> Iterator[Contradiction]:
    said = {1: profile.cache.l1d_bytes, 2: profile.cache.l2_bytes, 3: profile.cache.l3_bytes}
    for cache in core.caches:
        if cache.level in said and cache.size_bytes != said[cache.level]:
            key = f"cache.l{cache.level}{'d' if cache.level == 1 else ''}_bytes"
            yield Contradiction(key, str(said[cache.level]), str(cache.size_bytes))


def _memory(machine: Machine, profile: BoardProfile) -> Iterator[Contradiction]:
    share = machine.memory_bytes / profile.memory_bytes
    if machine.memory_bytes and not _LEAST_MEMORY <= share <= _MOST_MEMORY:
        yield Contradiction(
            "memory_bytes", format_bytes(profile.memory_bytes), format_bytes(machine.memory_bytes)
        )
