"""The cores that are stood in for: one table."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgetvm.boards.core import CoreModel
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.estimate.estimating import core_of as estimated_core


@dataclass(frozen=True)
class Board:
    """A core, and how it is emulated.

    Attributes:
        name: on the command line and in results.
        profile: the board profile that edgetvm compiles for.
        cpu: LLVM's name of the core, where it is not the profile's.
        priced: the profile whose core model estimates take.
        zig: target and core of programs that the benchmark compiles.
        debian: the architecture of the system that they run in.
        part: the core's number in /proc/cpuinfo, by which peers choose kernels.
        flags: the core's instructions there.
    """

    name: str
    profile: str
    cpu: str
    priced: str
    zig: tuple[str, ...]
    debian: str
    part: int
    flags: str = "fp asimd evtstrm crc32 cpuid"


_A64 = "-target", "aarch64-linux-gnu.2.28"
BOARDS = (
    Board(
        name="a72",
        profile="rpi4",
        cpu="cortex-a72",
        priced="rpi4",
        zig=(*_A64, "-mcpu=cortex_a72"),
        debian="arm64",
        part=0xD08,
    ),
    Board(
        name="a76",
        profile="rpi5",
        cpu="cortex-a76",
        priced="rpi5",
        zig=(*_A64, "-mcpu=cortex_a76"),
        debian="arm64",
        part=0xD0B,
        flags="fp asimd evtstrm crc32 fphp asimdhp asimddp cpuid",
    ),
    Board(
        name="a720",
        profile="orion-o6",
        cpu="cortex-a720",
        priced="orion-o6",
        zig=(*_A64, "-mcpu=cortex_a720"),
        debian="arm64",
        part=0xD81,
        flags="fp asimd evtstrm crc32 fphp asimdhp asimddp i8mm cpuid",
    ),
    Board(
        name="a53",
        profile="rpi4",
        cpu="cortex-a53",
        priced="beagleplay",
        zig=(*_A64, "-mcpu=cortex_a53"),
        debian="arm64",
        part=0xD03,
    ),
    Board(
        name="armv7",
        profile="rpi3-32",
        cpu="cortex-a53",
        priced="rpi3-32",
        zig=("-target", "arm-linux-gnueabihf.2.28", "-mcpu=cortex_a53"),
        debian="armhf",
        part=0xD03,
    ),
)


def board_called(name: str) -> Board:
    """The board of that name."""
    return next(board for board in BOARDS if board.name == name)


def core_of(board: Board) -> CoreModel:
    """How its core is priced."""
    return estimated_core(load_profile(board.priced))


def profile_of(board: Board) -> BoardProfile:
    """What edgetvm compiles for: one core of it."""
    return dataclasses.replace(load_profile(board.profile), cpu=board.cpu, cores=1)
