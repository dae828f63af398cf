"""What estimates need beside Python: QEMU's user emulators, LLVM's programs, and our own plugin."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

from edgetvm.base import cache
from edgetvm.base.errors import MissingToolError
from edgetvm.base.files import sha256_of_file
from edgetvm.base.pins import installed_version
from edgetvm.base.steps import step
from edgetvm.base.zig import run_zig
from edgetvm.farm.program import BOARD_SOURCES
from edgetvm.package.crossbuild import build_program

_SOURCES = Path(__file__).parent
_PLUGIN = _SOURCES / "plugin" / "trace.c"
_PLUGIN_FILE = "trace.so"
REPLAY_FILE = "edgetvm-replay"
# Newer ones have more cores, and better figures of them; older ones take another core's in silence.
_OLDEST_LLVM = 17
_LLVM = tuple(range(26, _OLDEST_LLVM - 1, -1))
_EMULATORS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm", "x86_64": "qemu-x86_64"}
# QEMU's plugin interface has had plugins since 6, and took functions of its first version away
# in 9, which refuses plugins of that version.
_OLDEST_QEMU = 6
_SECOND_VERSION = 9


@functools.cache
def llvm_program(name: str) -> str:
    """The newest of LLVM's programs of that name, as `llvm-mca`.

    Raises:
        MissingToolError: it is not installed, or too old.
    """
    for word in (*(f"{name}-{version}" for version in _LLVM), name):
        found = shutil.which(word)
        if found and version_of(found)[0] >= _OLDEST_LLVM:
            return found
    raise MissingToolError(
        f"{name} of LLVM {_OLDEST_LLVM} or newer is not installed",
        mend="run: scripts/setup, or apt-get install llvm-19",
    )


def emulator(architecture: str) -> str:
    """QEMU's program that runs programs of an architecture, and takes plugins.

    Raises:
        MissingToolError: there is none, or it is not installed, or older than plugins are.
    """
    name = _EMULATORS.get(architecture)
    if name is None:
        raise MissingToolError(
            f"no emulator is known for {architecture}",
            mend=f"estimates are for {', '.join(_EMULATORS)}",
        )
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is not installed", mend="run: apt-get install qemu-user")
    if version_of(found)[0] < _OLDEST_QEMU:
        raise MissingToolError(
            f"{found} is older than version {_OLDEST_QEMU}, and takes no plugins",
            mend="install a newer qemu-user",
        )
    return found


def can_emulate(architecture: str) -> bool:
    """Whether QEMU has a program for an architecture, be it installed or not."""
    return architecture in _EMULATORS


@functools.cache
def version_of(program: str) -> tuple[int, int]:
    """The first two numbers of the version that a program tells."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def plugin(program: str) -> Path:
    """The plugin for one of QEMU's programs, built or taken from the cache.

    Raises:
        CompileError, MissingToolError, StorageError: it cannot be built.
    """
    version = 2 if version_of(program)[0] >= _SECOND_VERSION else 1
    depends_on = {
        "source": sha256_of_file(_PLUGIN),
        "version": version,
        "ziglang": installed_version("ziglang"),
    }

    def make(folder: Path) -> None:
        with step("build the plugin for QEMU, this once"):
            flags = ("-O2", "-Wall", "-Wextra", "-shared", "-fPIC", f"-DPLUGIN_VERSION={version}")
            run_zig("cc", *flags, str(_PLUGIN), "-o", str(folder / _PLUGIN_FILE))

    folder, _ = cache.get_or_make("plugins", depends_on, make)
    return folder / _PLUGIN_FILE


def replay(architecture: str) -> Path:
    """The program that calls kernels one by one, for QEMU or for a board.

    Raises:
        NotFoundError, CompileError, MissingToolError, StorageError: it cannot be built.
    """
    guest = sorted(BOARD_SOURCES.glob("guest*.c"))
    return build_program(REPLAY_FILE, _SOURCES / "replay", architecture, guest)
