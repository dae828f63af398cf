"""What an emulated board tells of its hardware, from its profile: files over the kernel's own.

The kernel is this machine's, and so are its cores: under QEMU's user emulation /proc/cpuinfo would
show an x86 processor to programs for ARM.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edgetvm.boards.detect import core_number
from edgetvm.boards.profile import BoardProfile

# What QEMU's cores have beside what the profile asks for, as the kernel calls it.
_FEATURES = {
    "aarch64": "fp asimd evtstrm crc32 cpuid",
    "armv7l": "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
}
# A board's root can set its governor, which changes nothing but the file.
_GOVERNED = {
    "scaling_available_governors": "performance powersave schedutil",
    "scaling_governor": "schedutil",
}
_ARCHITECTURE_OF_CORE = {"aarch64": "8", "armv7l": "7"}


def write_machine(profile: BoardProfile, memory_bytes: int, folder: Path) -> None:
    """Write a board's /proc/cpuinfo, /proc/meminfo and /sys/devices/system/cpu under a folder."""
    cores = min(profile.cores, os.cpu_count() or 1)
    files = {
        "proc/cpuinfo": _cpuinfo(profile, cores),
        "proc/meminfo": _meminfo(memory_bytes),
        **{f"sys/devices/system/cpu/{name}": text for name, text in _cpus(profile, cores)},
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _cpuinfo(profile: BoardProfile, cores: int) -> str:
    if profile.architecture not in _FEATURES:
        blocks = Path("/proc/cpuinfo").read_text().strip().split("\n\n")[:cores]
        return "".join(
            re.sub(r"(?m)^cpu MHz.*", f"cpu MHz\t\t: {profile.clock_mhz}.000", block) + "\n\n"
            for block in blocks
        )
    implementer, part = core_number(profile.cpu)
    words = {
        "Features": _FEATURES[profile.architecture],
        "CPU implementer": implementer,
        "CPU architecture": _ARCHITECTURE_OF_CORE[profile.architecture],
        "CPU variant": "0x0",
        "CPU part": part,
        "CPU revision": "3",
    }
    lines = "".join(f"{key}\t: {value}\n" for key, value in words.items())
    return "".join(f"processor\t: {number}\n{lines}\n" for number in range(cores))


def _meminfo(memory_bytes: int) -> str:
    """The limit of its control group. What is free at the moment only the kernel could tell."""
    names = ("MemTotal", "MemFree", "MemAvailable")
    lines = [f"{name}: {memory_bytes >> 10:>15} kB" for name in names]
    return "\n".join([*lines, "SwapTotal:               0 kB", "SwapFree:                0 kB", ""])


def _cpus(profile: BoardProfile, cores: int) -> Iterator[tuple[str, str]]:
    every = f"0-{cores - 1}" if cores > 1 else "0"
    for name in ("online", "possible", "present"):
        yield name, f"{every}\n"
    cache = profile.cache
    levels = [
        (1, "Data", cache.l1d_bytes, False),
        (2, "Unified", cache.l2_bytes, cache.l2_shared),
        (3, "Unified", cache.l3_bytes, True),
    ]
    for number in range(cores):
        for name, value in _GOVERNED.items():
            yield f"cpu{number}/cpufreq/{name}", f"{value}\n"
        for name in ("cpuinfo_max_freq", "scaling_cur_freq", "scaling_max_freq"):
            yield f"cpu{number}/cpufreq/{name}", f"{profile.clock_mhz * 1000}\n"
        for index, (level, kind, size_bytes, shared) in enumerate(levels):
            if size_bytes:
                here = f"cpu{number}/cache/index{index}"
                yield f"{here}/level", f"{level}\n"
                yield f"{here}/type", f"{kind}\n"
                yield f"{here}/size", f"{size_bytes >> 10}K\n"
                yield f"{here}/shared_cpu_list", f"{every if shared else number}\n"
