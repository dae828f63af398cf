"""What a board is and how it stands: the answer of `on_board/facts.sh`, read.

The answer holds the board's own files as they are. All judgement is here, so that the answer of a
strange board can be saved and becomes a test (`tests/farm/facts/`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from edgetvm.base.errors import BoardError
from edgetvm.base.words import printable
from edgetvm.boards.machine import CPU_FOLDER, Machine, machine_of

_VERSION = "1"
_HEADING = re.compile(r"== (\S+)")
# ELF's e_machine with its class, to what `uname -m` calls such programs.
_PROGRAMS = {
    ("01", "28"): "armv7l",
    ("02", "b7"): "aarch64",
    ("02", "3e"): "x86_64",
    ("01", "03"): "i686",
    ("02", "f3"): "riscv64",
}
_THERMAL = "/sys/class/thermal/thermal_zone"
_MOST_LIKELY_C = (-40.0, 150.0)


@dataclass(frozen=True)
class Disk:
    """A folder's file system.

    Attributes:
        free_bytes: for this user.
        read_only: whether nothing can be written there.
        noexec: whether no program can be run from there.
    """

    free_bytes: int
    read_only: bool
    noexec: bool


@dataclass(frozen=True)
class Facts:
    """What a board is, and how it stands now.

    Attributes:
        machine: its cores, caches and memory.
        model: its name, where the firmware tells one.
        kernel: the kernel's version.
        kernel_architecture: as `uname -m` says; differs from the machine's, which is that of the
            programs, where a 64-bit kernel has a 32-bit system.
        system: the distribution.
        libc: C library and version; empty where it does not tell.
        boot_id: another one after each start.
        systemd: whether it runs systemd.
        user: who asked.
        root: whether that is the administrator.
        governors: CPU governors in use.
        temperature_c: of its hottest sensor; None where there is none.
        throttled: whether a Raspberry Pi slows down now; None on other boards.
        available_bytes: memory that programs could have now.
        load: processes that ran or waited, on average over a minute.
        uptime_s: seconds since its start.
        clock_s: seconds since 1970 by its clock.
        home, tmp: where files would go.
    """

    machine: Machine
    model: str
    kernel: str
    kernel_architecture: str
    system: str
    libc: str
    boot_id: str
    systemd: bool
    user: str
    root: bool
    governors: tuple[str, ...]
    temperature_c: float | None
    throttled: bool | None
    available_bytes: int
    load: float
    uptime_s: float
    clock_s: int
    home: Disk | None
    tmp: Disk | None


def facts_script() -> bytes:
    """The script that asks a board; it goes to `sh -s`."""
    return resources.files("edgetvm.farm").joinpath("on_board/facts.sh").read_bytes()


def parse_facts(answer: str) -> Facts:
    """Read what the script answered.

    Raises:
        BoardError: it is no such answer, or a part of one.
    """
    said = sections(answer)
    if said.get("edgetvm-facts", "").strip() != _VERSION or "end" not in said:
        raise BoardError(
            f"it answers with something else than its facts: {printable(answer[:60])!r}",
            mend="does its account's shell print words of its own, or end early?",
        )
    kernel_architecture = _line(said, "machine")
    return Facts(
        machine=machine_of(
            _architecture(said.get("program", ""), kernel_architecture),
            lambda path: said.get(path, ""),
        ),
        model=_line(said, "/proc/device-tree/model"),
        kernel=_line(said, "kernel"),
        kernel_architecture=kernel_architecture,
        system=_os_release(said.get("/etc/os-release", "")),
        libc=_libc(_line(said, "libc")),
        boot_id=_line(said, "/proc/sys/kernel/random/boot_id"),
        systemd="systemd" in said,
        user=_line(said, "user"),
        root=_line(said, "uid") == "0",
        governors=_governors(said),
        temperature_c=_temperature_c(said),
        throttled=_throttled(_line(said, "throttled")),
        available_bytes=_available_bytes(said.get("/proc/meminfo", "")),
        load=_number(_line(said, "/proc/loadavg")),
        uptime_s=_number(_line(said, "/proc/uptime")),
        clock_s=int(_number(_line(said, "time"))),
        home=_disk(said, "home"),
        tmp=_disk(said, "tmp"),
    )


def sections(answer: str) -> dict[str, str]:
    """Each name's text in an answer. Words before the first (a login's greeting) belong to none."""
    said: dict[str, str] = {}
    name = ""
    for line in answer.splitlines():
        if heading := _HEADING.fullmatch(line):
            name = heading[1]
            said[name] = ""
        elif name:
            said[name] += line + "\n"
    return said


def _line(said: Mapping[str, str], name: str) -> str:
    return printable(said.get(name, "").strip().split("\n", 1)[0])


def _number(text: str) -> float:
    word = text.split(" ", 1)[0]
    try:
        return float(word) if word.isascii() else 0.0
    except ValueError:
        return 0.0


def _architecture(program: str, kernel_architecture: str) -> str:
    """Of the board's programs, by the header of one; of its kernel where that is not told."""
    octets = program.split()
    if octets[:4] != ["7f", "45", "4c", "46"] or len(octets) < 20:
        return kernel_architecture
    found = _PROGRAMS.get((octets[4], octets[18]), kernel_architecture)
    # The header does not tell ARM's versions apart; the kernel of an old core does.
    return kernel_architecture if kernel_architecture[:5] in ("armv5", "armv6") else found


def _os_release(text: str) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return printable(found[1]) if found else ""


def _libc(text: str) -> str:
    """`glibc 2.36` as it is; `musl` and `uClibc` by the name of their loader."""
    return next((name for name in ("musl", "uClibc") if name in text), text)


def _governors(said: Mapping[str, str]) -> tuple[str, ...]:
    found = {
        _line(said, name)
        for name in said
        if name.startswith(CPU_FOLDER) and name.endswith("/scaling_governor")
    }
    return tuple(sorted(found))


def _temperature_c(said: Mapping[str, str]) -> float | None:
    """The hottest sensor in thousandths; one that is broken tells absurd figures."""
    found = [
        _number(text) / 1000
        for name, text in said.items()
        if name.startswith(_THERMAL) and name.endswith("/temp")
    ]
    low, high = _MOST_LIKELY_C
    return max((one for one in found if low < one < high), default=None)


def _throttled(text: str) -> bool | None:
    """The firmware's bits 0 to 3: under-voltage, capped, throttled, soft limit of temperature."""
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", text)
    return int(found[1], 16) & 0xF != 0 if found else None


def _available_bytes(text: str) -> int:
    """MemAvailable; kernels before 3.14 have none, and what is free comes nearest."""
    for key in ("MemAvailable", "MemFree"):
        if found := re.search(rf"^{key}:\s*([0-9]+) kB", text, re.MULTILINE):
            return int(found[1]) << 10
    return 0


def _disk(said: Mapping[str, str], name: str) -> Disk | None:
    """From the last line of `df -P -k`, and the options of its mount."""
    words = said.get(name, "").strip().rsplit("\n", 1)[-1].split(None, 5)
    if len(words) < 6 or not words[3].lstrip("-").isdigit():
        return None
    options = _mount_options(said.get("/proc/mounts", ""), words[5])
    return Disk(max(0, int(words[3])) << 10, "ro" in options, "noexec" in options)


def _mount_options(mounts: str, folder: str) -> list[str]:
    """Of the file system that was mounted there last: it hides the others."""
    options: list[str] = []
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) > 3 and words[1].replace("\\040", " ") == folder:
            options = words[3].split(",")
    return options
