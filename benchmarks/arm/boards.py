"""The cores that are stood in for: one table."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgetvm.boards.profile import BoardProfile, load_profile


@dataclass(frozen=True)
class Board:
    """A core, and how it is emulated.

    Attributes:
        name: on the command line and in results.
        profile: the board profile that edgetvm compiles for.
        cpu: LLVM's name of the core, where it is not the profile's.
        emulator: QEMU's program; `emulated_cpu` is its name of the core.
        zig: target and core of programs that the benchmark compiles.
        debian: the architecture of the system that they run in.
        part: the core's number in /proc/cpuinfo, by which peers choose kernels.
        flags: the core's instructions there.
        cycles: whether llvm-mca's model of the core is worth asking.
    """

    name: str
    profile: str
    cpu: str
    emulator: str
    emulated_cpu: str
    zig: tuple[str, ...]
    debian: str
    part: int
    cycles: bool
    flags: str = "fp asimd evtstrm crc32 cpuid"


_A64 = "-target", "aarch64-linux-gnu.2.28"
BOARDS = (
    Board(
        name="a72",
        profile="rpi4",
        cpu="cortex-a72",
        emulator="qemu-aarch64",
        emulated_cpu="cortex-a72",
        zig=(*_A64, "-mcpu=cortex_a72"),
        debian="arm64",
        part=0xD08,
        cycles=True,
    ),
    # llvm-mca prices its instructions as those of an A72.
    Board(
        name="a76",
        profile="rpi5",
        cpu="cortex-a76",
        emulator="qemu-aarch64",
        emulated_cpu="cortex-a76",
        zig=(*_A64, "-mcpu=cortex_a76"),
        debian="arm64",
        part=0xD0B,
        cycles=True,
        flags="fp asimd evtstrm crc32 fphp asimdhp asimddp cpuid",
    ),
    # QEMU has no A720; its largest CPU has the instructions.
    Board(
        name="a720",
        profile="orion-o6",
        cpu="cortex-a720",
        emulator="qemu-aarch64",
        emulated_cpu="max",
        zig=(*_A64, "-mcpu=cortex_a720"),
        debian="arm64",
        part=0xD81,
        cycles=False,
        flags="fp asimd evtstrm crc32 fphp asimdhp asimddp i8mm cpuid",
    ),
    # llvm-mca prices NEON code of an A53 at four to ten times an A72's: not believable.
    Board(
        name="a53",
        profile="rpi4",
        cpu="cortex-a53",
        emulator="qemu-aarch64",
        emulated_cpu="cortex-a53",
        zig=(*_A64, "-mcpu=cortex_a53"),
        debian="arm64",
        part=0xD03,
        cycles=False,
    ),
    # It has no model of 32-bit cores. QEMU's largest 32-bit CPU has the ARMv8 instructions that an
    # A53 has in its 32-bit state.
    Board(
        name="armv7",
        profile="rpi3-32",
        cpu="cortex-a53",
        emulator="qemu-arm",
        emulated_cpu="max",
        zig=("-target", "arm-linux-gnueabihf.2.28", "-mcpu=cortex_a53"),
        debian="armhf",
        part=0xD03,
        cycles=False,
    ),
)


def board_called(name: str) -> Board:
    """The board of that name."""
    return next(board for board in BOARDS if board.name == name)


def profile_of(board: Board) -> BoardProfile:
    """What edgetvm compiles for: one core of it."""
    return dataclasses.replace(load_profile(board.profile), cpu=board.cpu, cores=1)
