"""The system that emulated programs see: Debian's libc and Python, and peers' wheels.

apt-get and dpkg unpack packages of another architecture into a folder; nothing is installed, no
rights are needed. QEMU looks there first for every path that a program opens.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from benchmarks.arm.boards import Board
from edgetvm.base.pins import installed_version
from edgetvm.measure.peers.case import Unavailable

_PACKAGES = {
    "arm64": ("libc6", "python3", "libstdc++6", "libgomp1"),
    "armhf": ("libc6",),
}
# Of the wheels, those of the versions that are installed here.
_WHEELS = ("numpy", "filelock", "onnxruntime", "ai-edge-litert", "ncnn")
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")
_CORES = 4
SITE = "site"


def system(board: Board, folder: Path) -> Path:
    """The root of the board's system; made once.

    Raises:
        Unavailable: packages or wheels cannot be had.
    """
    base = _base(board.debian, folder)
    root = folder / f"system-{board.name}"
    if root.exists():
        return root
    aside = folder / f"system-{board.name}.new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for entry in base.iterdir():
        (aside / entry.name).symlink_to(entry)
    _describe_cores(aside, board)
    aside.replace(root)
    return root


def _base(architecture: str, folder: Path) -> Path:
    """Debian's files and, where there is Python, the wheels'."""
    root = (folder / f"debian-{architecture}").resolve()
    if root.exists():
        return root
    aside = root.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)
    for package in _fetched_packages(architecture, folder):
        _run(["dpkg-deb", "-x", str(package), str(aside)])
    if "python3" in _PACKAGES[architecture]:
        for wheel in _fetched_wheels(folder):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(aside / SITE)
    aside.replace(root)
    return root


def _fetched_packages(architecture: str, folder: Path) -> list[Path]:
    """Packages and all that they depend on, by this system's own sources."""
    state = (folder / f"apt-{architecture}").resolve()
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Debug::NoLocking": 1,
    }
    apt = ["apt-get", "-q", "-y", *(f"-o{name}={value}" for name, value in options.items())]
    # It fails if one of many sources has nothing for the architecture; the packages tell.
    subprocess.run([*apt, "update"], capture_output=True, check=False)
    wanted = _PACKAGES[architecture]
    _run([*apt, "--no-install-recommends", "--download-only", "install", *wanted])
    return sorted((state / "cache/archives").glob("*.deb"))


def _fetched_wheels(folder: Path) -> list[Path]:
    made = folder / "wheels-aarch64"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for package in _WHEELS:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        command += ["--only-binary=:all:", f"--python-version={version}", f"--dest={made}"]
        command += [f"--platform={tag}_aarch64" for tag in _TAGS]
        _run([*command, f"{package}=={installed_version(package)}"])
    return sorted(made.glob("*.whl"))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed: it is part of Debian") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise Unavailable(f"{command[0]} fails: {lines[-1]:.200}")


def _describe_cores(root: Path, board: Board) -> None:
    """What peers read the core from; under QEMU they would find this machine's, and some crash."""
    (root / "proc").mkdir()
    core = "".join(
        f"processor\t: {number}\n"
        "BogoMIPS\t: 108.00\n"
        f"Features\t: {board.flags}\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 8\n"
        "CPU variant\t: 0x0\n"
        f"CPU part\t: {board.part:#05x}\n"
        "CPU revision\t: 3\n\n"
        for number in range(_CORES)
    )
    (root / "proc/cpuinfo").write_text(core)
    folder = root / "sys/devices/system/cpu"
    folder.mkdir(parents=True)
    for name in ("possible", "present", "online"):
        (folder / name).write_text(f"0-{_CORES - 1}\n")
