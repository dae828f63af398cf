"""Boards that run edgetvm's C program, natively or under QEMU, and kernels for them to run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from built_runtime import program

from edgetvm.boards import load_profile
from edgetvm.compile.linker import linked, scratch_folder
from edgetvm.compile.target import target_for
from edgetvm.farm.program import board_program

PROFILES = {"x86_64": "local", "aarch64": "qemu-aarch64", "armv7l": "qemu-armv7"}
ARCHITECTURES = tuple(PROFILES)
_EMULATORS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
_SAYS_ITS_PORT = "edgetvm-board: listening on 127.0.0.1:"


@dataclass(frozen=True)
class ProgramBoard:
    """A board's server, a process of its own.

    Attributes:
        folder: of its sessions' files.
    """

    process: subprocess.Popen[str]
    port: int
    key: str
    folder: Path

    def connect(self, key: str | None = None, timeout_s: float = 60) -> Any:
        """A session by TVM's own client; with the board's key where it has no tracker."""
        from tvm import rpc

        return rpc.connect("127.0.0.1", self.port, key or self.key, session_timeout=timeout_s)

    def sessions(self) -> list[psutil.Process]:
        """The processes of clients."""
        return psutil.Process(self.process.pid).children()


def program_command(architecture: str) -> list[str]:
    """What runs the program of an architecture on this machine."""
    emulator = _EMULATORS.get(architecture)
    built = str(board_program(architecture))
    return [program(emulator), built] if emulator else [built]


@contextmanager
def serving(
    architecture: str = "x86_64",
    *options: str,
    key: str = "board",
    command: Sequence[str] | None = None,
) -> Iterator[ProgramBoard]:
    """A server that is up; without a tracker unless the options name one."""
    command = command or program_command(architecture)
    named = [] if "--key-file" in options else ["--key", key]
    with (
        tempfile.TemporaryDirectory(prefix="edgetvm-test-") as folder,
        subprocess.Popen(
            [*command, "serve", *named, "--folder", folder, *options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
    ):
        assert process.stderr is not None
        first = process.stderr.readline()
        try:
            assert first.startswith(_SAYS_ITS_PORT), first + process.stderr.read()
            yield ProgramBoard(process, int(first.removeprefix(_SAYS_ITS_PORT)), key, Path(folder))
        finally:
            process.terminate()
            process.stderr.close()
            process.wait(10)


def kernels(
    architecture: str, fcompile: Any = None, names: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """A library with two kernels.

    `product(a, b, c)` of float32[64, 64], its rows shared among threads, and `wave(d, e)` of
    float32[1024]: `tanh(d) + 1`.

    Args:
        architecture: whose profile it is built for.
        fcompile: links it, as in TVM's `export_library`; edgetvm's own linker without it.
        names: other names for the kernels.
    """
    import tvm
    from tvm import s_tir, te, tirx

    a, b = (te.placeholder((64, 64), name=name) for name in "ab")
    axis = te.reduce_axis((0, 64), name="axis")
    c = te.compute((64, 64), lambda i, j: te.sum(a[i, axis] * b[axis, j], axis=axis), name="c")
    d = te.placeholder((1024,), name="d")
    e = te.compute((1024,), lambda i: tirx.tanh(d[i]) + 1.0, name="e")
    functions = {"product": te.create_prim_func([a, b, c]), "wave": te.create_prim_func([d, e])}
    module = tvm.IRModule(
        {
            name: one.with_attr("global_symbol", names.get(name, name))
            for name, one in functions.items()
        }
    )
    schedule = s_tir.Schedule(module)
    schedule.work_on("product")
    schedule.parallel(schedule.get_loops(schedule.get_sblock("c"))[0])
    built = tirx.build(schedule.mod, target=target_for(load_profile(PROFILES[architecture])))
    with scratch_folder() as folder:
        if fcompile is None:
            return linked(built, folder)
        built.export_library(str(folder / "kernels.so"), fcompile=fcompile)
        return (folder / "kernels.so").read_bytes()
