"""The profile of the machine that this runs on, from /proc and /sys."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from edgetvm.base.errors import MissingToolError
from edgetvm.boards.profile import BoardProfile, Cache

_CPUINFO = Path("/proc/cpuinfo")
_CPU0 = Path("/sys/devices/system/cpu/cpu0")


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
_ARM_PARTS = {
    "0xd03": ("cortex-a53", 4),
    "0xd04": ("cortex-a35", 4),
    "0xd05": ("cortex-a55", 4),
    "0xd07": ("cortex-a57", 4),
    "0xd08": ("cortex-a72", 4),
    "0xd09": ("cortex-a73", 4),
    "0xd0a": ("cortex-a75", 8),
    "0xd0b": ("cortex-a76", 8),
    "0xd0c": ("neoverse-n1", 8),
    "0xd40": ("neoverse-v1", 16),
    "0xd49": ("neoverse-n2", 8),
}


# Flag of /proc/cpuinfo to LLVM's feature.
_ARM_FEATURES = {"asimddp": "dotprod", "i8mm": "i8mm", "asimdhp": "fullfp16", "sve": "sve"}


def cpu_flags() -> frozenset[str]:
    """The flags (x86) or features (ARM) that the kernel reports for the first core."""
    for line in _CPUINFO.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _cpuinfo_value(wanted: str) -> str:
    for line in _CPUINFO.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == wanted:
            return value.strip()
    return ""


def _cache_bytes(level: int) -> tuple[int, bool]:
    """Size of a data or unified cache of the first core, and whether other cores share it."""
    for index in sorted((_CPU0 / "cache").glob("index*")):
        kind = (index / "type").read_text().strip()
        if int((index / "level").read_text()) == level and kind in ("Data", "Unified"):
            text = (index / "size").read_text().strip()
            factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)
            shared = (index / "shared_cpu_list").read_text().strip()
            return int(text.rstrip("KM")) * factor, not shared.isdigit()
    return 0, False


def _clock_mhz() -> int:
    fastest = _CPU0 / "cpufreq" / "cpuinfo_max_freq"
    if fastest.is_file():
        return int(fastest.read_text()) // 1000
    return round(float(_cpuinfo_value("cpu MHz") or 1000))


def _cpu(machine: str) -> tuple[_Level, str]:
    flags = cpu_flags()
    if machine == "x86_64":
        level = next(level for level in _X86_LEVELS if flags.issuperset(level.flags))
        return _as_wide_as_its_units(level), "x86_64-linux-gnu"
    if machine == "aarch64":
        cpu, multiply_adds = _ARM_PARTS.get(_cpuinfo_value("CPU part"), ("generic", 4))
        found = {flag: llvm for flag, llvm in _ARM_FEATURES.items() if flag in flags}
        features = ("+neon", *(f"+{llvm}" for llvm in found.values()))
        level = _Level(cpu, 4, 32, multiply_adds, ("asimd", *found), features)
        return level, "aarch64-linux-gnu"
    raise MissingToolError(
        f"this machine is {machine}",
        mend="edgetvm's host must be x86_64 or aarch64; other boards are reached from such a host",
    )


def _as_wide_as_its_units(level: _Level) -> _Level:
    halves = (
        level.lanes == 16
        and _cpuinfo_value("vendor_id") == "AuthenticAMD"
        and int(_cpuinfo_value("cpu family")) < _AMD_FAMILY_OF_WHOLE_VECTORS
    )
    return replace(level, multiply_adds=level.lanes) if halves else level


def detect_local(name: str, description: str) -> BoardProfile:
    """The profile of this machine.

    Raises:
        MissingToolError: the host is neither x86-64 nor AArch64 Linux.
    """
    level, triple = _cpu(platform.machine())
    (l1, _), (l2, shared), (l3, _) = (_cache_bytes(number) for number in (1, 2, 3))
    model = _cpuinfo_value("model name") or level.cpu
    return BoardProfile(
        name=name,
        description=f"{description}: {model}",
        triple=triple,
        cpu=level.cpu,
        features=level.features,
        required_cpu_flags=level.flags,
        vector_lanes=level.lanes,
        vector_registers=level.registers,
        cores=len(os.sched_getaffinity(0)),
        # A kernel that hides its caches (some virtual machines) gets the smallest usual ones.
        cache=Cache(
            l1d_bytes=l1 or 32 << 10, l2_bytes=l2 or 256 << 10, l3_bytes=l3, l2_shared=shared
        ),
        multiply_adds=level.multiply_adds,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        clock_mhz=_clock_mhz(),
        source="detected on this machine",
    )
