"""The profile of a machine, from what its kernel says: of this one, or of a board."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.boards.machine import Core, Machine, cpuinfo_flags, machine_of
from edgetvm.boards.profile import BoardProfile, Cache


@dataclass(frozen=True)
class _Level:
    """An instruction-set level: LLVM's name, its vectors, and the flags that prove it.

    Multiply-adds are those of a cycle, of the cores that people have: two vectors.
    """

    cpu: str
    lanes: int
    registers: int
    multiply_adds: int
    flags: tuple[str, ...]
    features: tuple[str, ...] = ()


# Best first. The x86-64 psABI's levels, with AVX-512's 512-bit registers used in full.
_X86_LEVELS = (
    _Level(
        "x86-64-v4",
        16,
        32,
        32,
        ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni", "avx512_fp16"),
        ("-prefer-256-bit", "+avx512vnni", "+avx512fp16"),
    ),
    _Level(
        "x86-64-v4",
        16,
        32,
        32,
        ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"),
        ("-prefer-256-bit", "+avx512vnni"),
    ),
    _Level(
        "x86-64-v4",
        16,
        32,
        32,
        ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
        ("-prefer-256-bit",),
    ),
    _Level("x86-64-v3", 8, 16, 16, ("abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")),
    _Level("x86-64", 4, 16, 8, ("sse2",)),
)

# AMD's cores with AVX-512 before this family (Zen 5) compute a 512-bit vector in two halves.
_AMD_FAMILY_OF_WHOLE_VECTORS = 26

# "CPU part" of /proc/cpuinfo to LLVM's name (Arm's MIDR_EL1 part numbers), and the float32
# multiply-adds of a cycle (Arm's Software Optimization Guides).
_ARM = "0x41"
_ARM_PARTS = {
    "0xc07": ("cortex-a7", 2),
    "0xc08": ("cortex-a8", 2),
    "0xc09": ("cortex-a9", 2),
    "0xc0f": ("cortex-a15", 4),
    "0xd03": ("cortex-a53", 4),
    "0xd04": ("cortex-a35", 4),
    "0xd05": ("cortex-a55", 4),
    "0xd07": ("cortex-a57", 4),
    "0xd08": ("cortex-a72", 4),
    "0xd09": ("cortex-a73", 4),
    "0xd0a": ("cortex-a75", 8),
    "0xd0b": ("cortex-a76", 8),
    "0xd0c": ("neoverse-n1", 8),
    "0xd0d": ("cortex-a77", 8),
    "0xd40": ("neoverse-v1", 16),
    "0xd41": ("cortex-a78", 8),
    "0xd44": ("cortex-x1", 16),
    "0xd46": ("cortex-a510", 4),
    "0xd47": ("cortex-a710", 8),
    "0xd49": ("neoverse-n2", 8),
    "0xd4d": ("cortex-a715", 8),
    "0xd80": ("cortex-a520", 4),
    "0xd81": ("cortex-a720", 8),
}
_UNKNOWN_ARM = ("generic", 4)
_UNKNOWN_ARM32 = ("generic", 2)

# Flag of /proc/cpuinfo to LLVM's feature.
_ARM_FEATURES = {"asimddp": "dotprod", "i8mm": "i8mm", "asimdhp": "fullfp16", "sve": "sve"}

# A kernel that hides its caches (some virtual machines) gets the smallest usual ones.
_L1D_BYTES = 32 << 10
_L2_BYTES = 256 << 10
_CLOCK_MHZ = 1000


def cpu_flags() -> frozenset[str]:
    """The flags (x86) or features (ARM) that the kernel reports for the first core."""
    return cpuinfo_flags(_read("/proc/cpuinfo"))


def core_name(core: Core) -> str:
    """LLVM's name of an Arm core; `generic` where its part is not known."""
    return _arm_part(core, _UNKNOWN_ARM)[0]


def core_number(name: str) -> tuple[str, str]:
    """Implementer and part number of one of Arm's cores, as /proc/cpuinfo has them.

    Args:
        name: LLVM's.

    Raises:
        KeyError: no such core is known.
    """
    return _ARM, {known: part for part, (known, _) in _ARM_PARTS.items()}[name]


def _arm_part(core: Core, unknown: tuple[str, int]) -> tuple[str, int]:
    return _ARM_PARTS.get(core.part, unknown) if core.vendor == _ARM else unknown


def _x86_64(core: Core) -> _Level:
    level = next((one for one in _X86_LEVELS if core.flags.issuperset(one.flags)), _X86_LEVELS[-1])
    halves = (
        level.lanes == 16
        and core.vendor == "AuthenticAMD"
        and core.family < _AMD_FAMILY_OF_WHOLE_VECTORS
    )
    return replace(level, multiply_adds=level.lanes) if halves else level


def _aarch64(core: Core) -> _Level:
    cpu, multiply_adds = _arm_part(core, _UNKNOWN_ARM)
    found = {flag: llvm for flag, llvm in _ARM_FEATURES.items() if flag in core.flags}
    features = ("+neon", *(f"+{llvm}" for llvm in found.values()))
    return _Level(cpu, 4, 32, multiply_adds, ("asimd", *found), features)


def _armv7l(core: Core) -> _Level:
    cpu, multiply_adds = _arm_part(core, _UNKNOWN_ARM32)
    # The flags of a 64-bit kernel with a 32-bit system: its `asimd` is both of these.
    both = {"neon", "vfpv4"} if "asimd" in core.flags else set()
    flags = tuple(flag for flag in ("neon", "vfpv4") if flag in core.flags | both)
    if "neon" not in flags:
        raise ConfigurationError(
            "its cores have no NEON", mend="edgetvm compiles for 32-bit ARM cores with NEON only"
        )
    features = ("+neon", "+vfp4") if "vfpv4" in flags else ("+neon",)
    return _Level(cpu, 4, 16, multiply_adds, flags, features)


_KINDS: dict[str, tuple[str, Callable[[Core], _Level]]] = {
    "x86_64": ("x86_64-linux-gnu", _x86_64),
    "aarch64": ("aarch64-linux-gnu", _aarch64),
    "armv7l": ("armv7a-linux-gnueabihf", _armv7l),
}


def profile_of(machine: Machine, name: str, description: str, source: str) -> BoardProfile:
    """The profile of a machine; of its fastest cores, where it has several kinds.

    Raises:
        ConfigurationError: edgetvm has no code for such cores, or they are not told.
    """
    if machine.architecture not in _KINDS or not machine.cores:
        raise ConfigurationError(
            f"its programs are for {machine.architecture}",
            mend=f"edgetvm compiles for {', '.join(_KINDS)}",
        )
    if not machine.memory_bytes:
        raise ConfigurationError("it does not tell its memory", mend="is /proc mounted there?")
    triple, level_of = _KINDS[machine.architecture]
    cores = fastest_cores(machine)
    level = level_of(cores[0])
    return BoardProfile(
        name=name,
        description=description,
        triple=triple,
        cpu=level.cpu,
        features=level.features,
        required_cpu_flags=level.flags,
        float_abi="hard" if machine.architecture == "armv7l" else None,
        vector_lanes=level.lanes,
        vector_registers=level.registers,
        cores=len(cores),
        cache=_cache(cores[0]),
        multiply_adds=level.multiply_adds,
        memory_bytes=machine.memory_bytes,
        clock_mhz=cores[0].max_mhz or _CLOCK_MHZ,
        source=source,
    )


def fastest_cores(machine: Machine) -> list[Core]:
    """The cores of the kind that computes most, by multiply-adds of a cycle, then by clock."""
    kinds: dict[tuple[str, str], list[Core]] = {}
    for core in machine.cores:
        kinds.setdefault((core.vendor, core.part), []).append(core)
    return max(
        kinds.values(),
        key=lambda cores: (_arm_part(cores[0], _UNKNOWN_ARM)[1], cores[0].max_mhz),
        default=[],
    )


def _cache(core: Core) -> Cache:
    sizes = {cache.level: cache.size_bytes for cache in core.caches}
    return Cache(
        l1d_bytes=sizes.get(1) or _L1D_BYTES,
        l2_bytes=sizes.get(2) or _L2_BYTES,
        l3_bytes=sizes.get(3, 0),
        l2_shared=any(cache.shared for cache in core.caches if cache.level == 2),
    )


def detect_local(name: str, description: str) -> BoardProfile:
    """The profile of this machine.

    Raises:
        MissingToolError: the host is neither x86-64 nor AArch64 Linux.
    """
    if platform.machine() not in ("x86_64", "aarch64"):
        raise MissingToolError(
            f"this machine is {platform.machine()}",
            mend="edgetvm's host must be x86_64 or aarch64; other boards are reached from such a "
            "host",
        )
    machine = machine_of(platform.machine(), _read)
    # A container or `taskset` may leave it only some of them.
    usable = os.sched_getaffinity(0)
    machine = replace(machine, cores=tuple(one for one in machine.cores if one.number in usable))
    model = machine.cores[0].model or core_name(machine.cores[0])
    return profile_of(machine, name, f"{description}: {model}", "detected on this machine")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
