"""What this machine must have, and what it may have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.paths import cache_folder, data_folder
from edgetvm.base.pins import PINNED, check_pins, installed_version
from edgetvm.boards.profile import list_profiles, load_profile
from edgetvm.estimate.tools import emulator, llvm_program
from edgetvm.recipes import list_recipes


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer.

    Attributes:
        what: that was looked at.
        state: `failed` breaks edgetvm; `absent` only limits it.
        found: what is there.
        mend: what to do.
    """

    what: str
    state: Literal["fine", "absent", "failed"]
    found: str
    mend: str = ""


def _python() -> Finding:
    # pip refuses to install edgetvm on a Python that is too old: this line only tells.
    return Finding("Python", "fine", ".".join(map(str, sys.version_info[:3])))


def _tvm() -> Finding:
    try:
        check_pins()
    except EdgetvmError as error:
        return Finding("TVM and its ffi package", "failed", error.what, error.mend or "")
    return Finding("TVM and its ffi package", "fine", ", ".join(PINNED.values()))


def _local_board() -> Finding:
    try:
        profile = load_profile("local")
    except EdgetvmError as error:
        return Finding("this machine's profile", "failed", error.what, error.mend or "")
    found = f"{profile.cpu}, {profile.cores} cores, {profile.vector_lanes} lanes"
    return Finding("this machine's profile", "fine", found)


def _shipped() -> Finding:
    try:
        found = f"{len(list_profiles())} board profiles, {len(list_recipes())} recipes"
    except EdgetvmError as error:
        return Finding("profiles and recipes", "failed", str(error), error.mend or "")
    return Finding("profiles and recipes", "fine", found)


def _linker() -> Finding:
    command = [sys.executable, "-m", "ziglang", "ld.lld", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return Finding("linker", "failed", "ziglang does not run", "run: pip install ziglang")
    return Finding("linker", "fine", result.stdout.strip().split("(")[0].strip())


def _folders() -> Finding:
    for folder in (cache_folder(), data_folder()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".doctor"
            probe.write_bytes(b"edgetvm")
            probe.unlink()
        except OSError as error:
            mend = "free space or mend its permissions, or set XDG_CACHE_HOME and XDG_DATA_HOME"
            return Finding("folders", "failed", f"{folder}: {error.strerror}", mend)
    return Finding("folders", "fine", f"{cache_folder()}, {data_folder()}")


def _package(name: str, purpose: str, extra: str) -> Callable[[], Finding]:
    def look() -> Finding:
        found = installed_version(name)
        if found is None:
            mend = f"{purpose}: pip install 'edgetvm[{extra}]'"
            return Finding(name, "absent", "not installed", mend)
        return Finding(name, "fine", found)

    return look


def _program(name: str, purpose: str, package: str) -> Callable[[], Finding]:
    def look() -> Finding:
        path = shutil.which(name)
        if path is None:
            return Finding(name, "absent", "not found", f"{purpose}: apt-get install {package}")
        return Finding(name, "fine", path)

    return look


def _xgboost() -> Finding:
    for name in ("xgboost-cpu", "xgboost"):
        found = installed_version(name)
        if found is not None:
            return Finding("xgboost", "fine", f"{name} {found}")
    return Finding("xgboost", "absent", "not installed", "tuning: pip install 'edgetvm[tune]'")


def _estimates() -> Finding:
    try:
        found = emulator("aarch64"), llvm_program("llvm-mca")
    except EdgetvmError as error:
        return Finding("estimates", "absent", error.what, error.mend or "")
    return Finding("estimates", "fine", ", ".join(found))


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _tvm,
    _xgboost,
    _linker,
    _local_board,
    _shipped,
    _folders,
    _package("onnxruntime", "checks ONNX models against their own runtime", "reference"),
    _package("ai-edge-litert", "checks TFLite models against their own runtime", "reference"),
    _package("torch", "imports PyTorch programs", "torch"),
    _program("espeak-ng", "speech for the speech recipes", "espeak-ng"),
    _program("ssh", "reaches boards", "openssh-client"),
    _estimates,
    _program("qemu-aarch64-static", "emulates ARM boards", "qemu-user-static"),
)


def examine() -> list[Finding]:
    """Look at everything, in order."""
    return [check() for check in CHECKS]
