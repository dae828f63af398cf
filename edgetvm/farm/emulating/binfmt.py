"""Programs for other processors, run by QEMU as if they were this machine's own.

The kernel is told once for each lab which program of QEMU runs them (binfmt_misc). It keeps that
program open, so a board needs no copy of it, and gives the rights of the program that is run and
not QEMU's: without that no board would have a working sudo.
"""

from __future__ import annotations

import contextlib
import platform
import subprocess
from pathlib import Path

from edgetvm.base.errors import MissingToolError
from edgetvm.farm.emulating.needs import program

_KERNEL = Path("/proc/sys/fs/binfmt_misc")
# QEMU's program, and ELF's class and machine.
_EMULATORS = {"aarch64": ("qemu-aarch64-static", 2, 0xB7), "armv7l": ("qemu-arm-static", 1, 0x28)}
# Preserve the program's name, keep QEMU open, take the program's own rights.
_FLAGS = "PFC"


def needed_programs(architecture: str) -> list[tuple[str, str]]:
    """What boards of an architecture need here, each with its Debian package.

    Raises:
        MissingToolError: this machine cannot run programs of that architecture.
    """
    if architecture == platform.machine():
        return []
    if architecture not in _EMULATORS:
        raise MissingToolError(
            f"{architecture} boards can be emulated on {architecture} machines only",
            mend=f"choose one of {', '.join(_EMULATORS)}",
        )
    return [(_EMULATORS[architecture][0], "qemu-user-static")]


def let_qemu_run(architecture: str, name: str) -> None:
    """Have the kernel run programs of an architecture; nothing to do for this machine's own.

    Args:
        name: of the kernel's entry; `forget` takes it back.

    Raises:
        MissingToolError: the kernel does not have binfmt_misc, or does not let us.
    """
    if architecture == platform.machine():
        return
    emulator, elf_class, machine = _EMULATORS[architecture]
    if not (_KERNEL / "register").exists():
        command = [program("mount"), "-t", "binfmt_misc", "binfmt_misc", str(_KERNEL)]
        subprocess.run(command, capture_output=True, check=False)
    magic = bytes([*b"\x7fELF", elf_class, 1, 1, *[0] * 9, 2, 0, machine, 0])
    # Any system's programs, and libraries that can be run.
    mask = bytes([*[0xFF] * 7, 0, *[0xFF] * 8, 0xFE, 0xFF, 0xFF, 0xFF])
    words = ["", name, "M", "", _escaped(magic), _escaped(mask), program(emulator), _FLAGS]
    try:
        (_KERNEL / "register").write_text(":".join(words))
    except OSError as error:
        raise MissingToolError(
            f"the kernel does not let QEMU run {architecture} programs: {error.strerror}",
            mend="modprobe binfmt_misc; a container needs --privileged",
        ) from error


def forget(name: str) -> None:
    """Take back what the kernel was told; nothing where it was not."""
    with contextlib.suppress(OSError):
        (_KERNEL / name).write_text("-1")


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in data)
