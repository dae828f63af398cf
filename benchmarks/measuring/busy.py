"""The package of a model of known durations, and a board of this machine that runs it in C."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgetvm.base.zig import run_zig
from edgetvm.boards import load_profile
from edgetvm.compile.artifact import Artifact, Kernel
from edgetvm.farm import Board, LocalBoard
from edgetvm.farm.program import board_program
from edgetvm.farm.tracker_client import Address, registered_keys
from edgetvm.models.model import Provenance, Signature, TensorSpec
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.assembly import build_package

_KEY = "measuring"
_FLAGS = ("-shared", "-fPIC", "-nostdlib", "-O1", "-fno-sanitize=all", "-fno-stack-protector")
_CALIBRATION_S = 1.0


def ticks_per_ns() -> float:
    """How fast the counter that the model spins on counts, by the clock that times runs."""
    with tempfile.TemporaryDirectory() as folder:
        ticks = ctypes.CDLL(str(_library(Path(folder)))).busy_ticks
    ticks.restype = ctypes.c_uint64
    began, began_ns = ticks(), time.perf_counter_ns()
    time.sleep(_CALIBRATION_S)
    return float((ticks() - began) / (time.perf_counter_ns() - began_ns))


def _library(folder: Path) -> Path:
    source = Path(__file__).with_name("busy.c")
    run_zig("cc", *_FLAGS, "-o", "busy.so", str(source), folder=folder)
    return folder / "busy.so"


@dataclass(frozen=True)
class Known:
    """What runs of the model take.

    Attributes:
        usual_ns, slow_ns: of a run.
        slow_pct: of a hundred runs so many are slow, spread evenly.
    """

    usual_ns: int
    slow_ns: int
    slow_pct: int

    @property
    def mean_ns(self) -> float:
        """Of many runs."""
        return self.usual_ns + (self.slow_ns - self.usual_ns) * self.slow_pct / 100


def busy_package(known: Known, rate: float) -> Package:
    """The model as a package for this machine.

    Args:
        known: what its runs take.
        rate: see `ticks_per_ns`.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = _library(Path(folder)).read_bytes()
    spec = TensorSpec("x", (4,), "int64")
    ticks = [round(known.usual_ns * rate), round(known.slow_ns * rate), known.slow_pct, 0]
    artifact = Artifact(
        name="busy",
        library=library,
        profile=load_profile("local"),
        signature=Signature((spec,), (TensorSpec("y", (4,), "int64"),)),
        provenance=Provenance("busy.c", "0" * 64, "by hand", {}, ()),
        kernels=(Kernel("busy", 1, "library", "by hand"),),
    )
    given = {"x": np.asarray(ticks, np.int64)}
    answer = {"y": np.asarray([1, 0, 0, 0], np.int64)}
    return verify_package(build_package(artifact, None, given, answer), "busy")


@contextmanager
def c_board() -> Iterator[Board]:
    """A board of this machine that runs edgetvm's C program, registered with a tracker."""
    with LocalBoard() as local, tempfile.TemporaryDirectory(prefix="edgetvm-measuring-") as folder:
        command = [str(board_program(platform.machine())), "serve", "--key", _KEY]
        command += ["--folder", folder, "--tracker", str(local.tracker)]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        ) as process:
            try:
                _wait_for(local.tracker)
                yield Board("measuring", "local", local.tracker, _KEY)
            finally:
                process.terminate()
                process.wait(10)


def _wait_for(tracker: Address) -> None:
    until_s = time.monotonic() + 20
    while _KEY not in registered_keys(tracker):
        if time.monotonic() > until_s:
            raise SystemExit("the board's program did not register with the tracker")
        time.sleep(0.05)
