"""ncnn for 32-bit ARM, from the sources that PyPI has: built with zig, linked statically.

Without int8, bfloat16 and pictures, which the models here do not use, it takes about ten minutes,
once. It needs cmake and ninja beside what the benchmark needs anyway.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.arm.boards import Board
from benchmarks.arm.emulator import Counted, counted
from benchmarks.arm.tools import HERE, compiled, zig
from edgetvm.base.pins import installed_version
from edgetvm.measure.peers.case import Arrays, Task, Unavailable
from edgetvm.measure.peers.ncnn_ import files, inputs

_TARGET = ("-target", "arm-linux-musleabihf", "-mcpu=cortex_a53")
_OFF = ("OPENMP", "BUILD_TOOLS", "BUILD_EXAMPLES", "BUILD_BENCHMARK", "INT8", "BF16", "PIXEL")


def run(board: Board, task: Task, folder: Path, timeout_s: float) -> tuple[Counted, Arrays]:
    """Count the runs of one task.

    Raises:
        Unavailable: it cannot be built, or cannot run the model.
    """
    runner = _runner(folder)
    made = files(task)
    with tempfile.TemporaryDirectory() as scratch:
        given, answers = Path(scratch, "inputs"), Path(scratch, "answers")
        with given.open("wb") as file:
            for array in inputs(task.case, made):
                file.write(np.asarray([array.ndim, *array.shape], "<u4").tobytes())
                file.write(array.tobytes())
        words = [str(made / f"model.ncnn.{part}") for part in ("param", "bin")]
        command = [str(runner), *words, str(given), str(answers)]
        command += ["direct"] if task.setting == "direct" else []
        found = counted(board, None, command, timeout_s)
        flat = np.fromfile(answers, np.float32)
    sizes = [array.size for array in task.case.expected()]
    return found, np.split(flat, np.cumsum(sizes)[:-1])


def _runner(folder: Path) -> Path:
    built = _library(folder)
    include = [f"-I{path}" for path in (built / "source/src", built / "build/src")]
    archive = str(built / "build/src/libncnn.a")
    flags = [*_TARGET, "-static", "-fno-rtti", "-fno-exceptions", "-w", *include, archive]
    return compiled(HERE / "ncnn32.cpp", folder, flags, "c++")


def _library(folder: Path) -> Path:
    """The folder with ncnn's sources and build, of the version that is installed here."""
    version = installed_version("ncnn")
    made = (folder / f"ncnn-{version}-arm").resolve()
    if (made / "built").exists():
        return made
    for needed in ("cmake", "ninja"):
        if shutil.which(needed) is None:
            raise Unavailable(
                f"{needed} is not installed: ncnn for 32-bit ARM is built from its sources with "
                "apt-get install cmake ninja-build"
            )
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    _fetch(f"ncnn=={version}", made)
    compilers = made / "bin"
    compilers.mkdir()
    for name, flags in {"cc": _TARGET, "c++": _TARGET, "ar": (), "ranlib": ()}.items():
        script = compilers / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*zig(), name, *flags])} "$@"\n')
        script.chmod(0o755)
    variables = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "armv7l",
        "CMAKE_C_COMPILER": compilers / "cc",
        "CMAKE_CXX_COMPILER": compilers / "c++",
        "CMAKE_AR": compilers / "ar",
        "CMAKE_RANLIB": compilers / "ranlib",
        "CMAKE_BUILD_TYPE": "Release",
        **{f"NCNN_{name}": "OFF" for name in _OFF},
    }
    source, build = made / "source", made / "build"
    words = [f"-D{name}={value}" for name, value in variables.items()]
    _step(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build), *words])
    _step(["ninja", "-C", str(build), "ncnn"])
    (made / "built").touch()
    return made


def _fetch(package: str, made: Path) -> None:
    # Its version is the day on which its metadata is made: only pip's old resolver takes that. That
    # one would download what a configured constraint names, too.
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=ncnn"]
    pip += ["--use-deprecated=legacy-resolver", f"--dest={made}", package]
    _step(pip, {"PIP_CONSTRAINT": os.devnull})
    with tarfile.open(next(made.glob("*.tar.gz"))) as archive:
        archive.extractall(made, filter="data")
    next(path for path in made.glob("ncnn-*") if path.is_dir()).rename(made / "source")


def _step(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.nice(10),
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise Unavailable(f"{Path(command[0]).name} fails: {lines[-1]:.200}")
