"""What a Linux machine says of itself: its cores, caches and memory, from /proc and /sys.

The text of the files comes from a function, so that it may be this machine's, a board's at the
other end of an SSH connection, or one that was saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

# The text of a file; empty where there is none.
Read = Callable[[str], str]

CPU_FOLDER = "/sys/devices/system/cpu"
_MOST_CACHES = 6
_FACTORS = {"K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True)
class CacheLevel:
    """One data or unified cache as a core sees it."""

    level: int
    size_bytes: int
    shared: bool


@dataclass(frozen=True)
class Core:
    """One core.

    Attributes:
        number: the kernel's.
        vendor: `GenuineIntel`, or Arm's implementer code, as `0x41`.
        family: of an x86 core; 0 elsewhere.
        part: Arm's part number, as `0xd08`; empty elsewhere.
        model: its name, where the kernel has one.
        flags: flags (x86) or features (ARM).
        max_mhz: highest clock that the kernel sets, or the present one; 0 where it tells none.
        caches: data and unified ones; empty where the kernel hides them.
    """

    number: int
    vendor: str
    family: int
    part: str
    model: str
    flags: frozenset[str]
    max_mhz: int
    caches: tuple[CacheLevel, ...]


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        architecture: of its programs, as `uname -m` calls it.
        cores: that are switched on.
        memory_bytes: that the kernel manages.
    """

    architecture: str
    cores: tuple[Core, ...]
    memory_bytes: int


def machine_of(architecture: str, read: Read) -> Machine:
    """The machine whose files `read` gives."""
    blocks = _cpuinfo(read("/proc/cpuinfo"))
    return Machine(
        architecture,
        tuple(_core(number, words, read) for number, words in blocks),
        _memory_bytes(read("/proc/meminfo")),
    )


def cpuinfo_flags(text: str) -> frozenset[str]:
    """Flags (x86) or features (ARM) of the first core in the text of /proc/cpuinfo."""
    blocks = _cpuinfo(text)
    return _flags(blocks[0][1]) if blocks else frozenset()


def _cpuinfo(text: str) -> list[tuple[int, dict[str, str]]]:
    """Each core's number and words.

    What stands in no core's block is common to all: kernels for 32-bit ARM before 3.8 tell
    features and part only once.
    """
    common: dict[str, str] = {}
    cores: list[tuple[int, dict[str, str]]] = []
    for block in text.split("\n\n"):
        words: dict[str, str] = common
        for line in block.splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "processor" and value.isdigit():
                words = {}
                cores.append((int(value), words))
            elif key:
                words[key] = value
    return [(number, {**common, **words}) for number, words in cores or [(0, {})]]


def _flags(words: dict[str, str]) -> frozenset[str]:
    return frozenset((words.get("flags") or words.get("Features") or "").split())


def _core(number: int, words: dict[str, str], read: Read) -> Core:
    family = words.get("cpu family", "")
    return Core(
        number=number,
        vendor=words.get("vendor_id") or words.get("CPU implementer", ""),
        family=int(family) if family.isdigit() else 0,
        part=words.get("CPU part", ""),
        model=words.get("model name") or words.get("Model") or words.get("Hardware", ""),
        flags=_flags(words),
        max_mhz=_max_mhz(number, words, read),
        caches=tuple(_caches(number, read)),
    )


def _max_mhz(number: int, words: dict[str, str], read: Read) -> int:
    khz = read(f"{CPU_FOLDER}/cpu{number}/cpufreq/cpuinfo_max_freq").strip()
    if khz.isdigit():
        return int(khz) // 1000
    try:
        return round(float(words.get("cpu MHz", "0")))
    except ValueError:
        return 0


def _caches(number: int, read: Read) -> Iterable[CacheLevel]:
    for index in range(_MOST_CACHES):
        folder = f"{CPU_FOLDER}/cpu{number}/cache/index{index}"
        level, size = read(f"{folder}/level").strip(), read(f"{folder}/size").strip()
        digits = size.rstrip("KM")
        if level.isdigit() and digits.isdigit() and read(f"{folder}/type").strip() != "Instruction":
            shared = read(f"{folder}/shared_cpu_list").strip()
            size_bytes = int(digits) * _FACTORS.get(size[-1], 1)
            yield CacheLevel(int(level), size_bytes, bool(shared) and not shared.isdigit())


def _memory_bytes(text: str) -> int:
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["MemTotal:"] and len(words) > 1 and words[1].isdigit():
            return int(words[1]) << 10
    return 0
