"""The machine: its peaks, and who used it while something was timed."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SOURCE = Path(__file__).with_name("peak.c")
_ROUNDS = 400_000
_DRAM_BYTES = 128 << 20
_BURSTS = 20
# All cores at once may run at a lower clock than one alone.
_LEAST_SHARE = 0.75


@dataclass(frozen=True)
class Roof:
    """What a number of cores can do at best.

    Attributes:
        gflops: multiply-adds in registers, two operations each.
        dram_gbs: reading memory that no cache holds, GB/s.
        complete: whether all cores were there when it was measured.
    """

    threads: int
    gflops: float
    dram_gbs: float
    complete: bool = True


class Peak:
    """Measures peaks with a small C function, on as many threads as asked."""

    def __init__(self, folder: Path) -> None:
        from edgetvm.boards.profile import load_profile

        profile = load_profile("local")
        lanes = profile.vector_lanes
        chains = 24 if profile.vector_registers >= 32 else 12
        self._operations = 2 * lanes * chains * _ROUNDS
        self._lanes = lanes
        library = ctypes.CDLL(str(_built(folder, lanes, chains)))
        library.multiply_adds.argtypes = [ctypes.c_long, ctypes.c_float]
        library.multiply_adds.restype = ctypes.c_float
        library.read_floats.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]
        library.read_floats.restype = ctypes.c_float
        self._library = library
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def gflops(self, threads: int) -> float:
        """GFLOP/s of one short burst on so many threads at once."""
        return threads * self._operations / self._seconds(threads, self._burst) / 1e9

    def _burst(self, _: int) -> None:
        self._library.multiply_adds(_ROUNDS, 1.0)

    def _seconds(self, threads: int, work: Callable[[int], None]) -> float:
        """From the first thread's start to the last one's end."""
        barrier = threading.Barrier(threads)

        def one(index: int) -> tuple[float, float]:
            barrier.wait()
            began = time.perf_counter()
            work(index)
            return began, time.perf_counter()

        spans = list(self._pool.map(one, range(threads)))
        return max(end for _, end in spans) - min(start for start, _ in spans)

    def dram_gbs(self, threads: int) -> float:
        """GB/s of reading what no cache holds."""
        data = [np.ones(_DRAM_BYTES // 4, np.float32) for _ in range(threads)]

        def read(index: int) -> None:
            self._library.read_floats(
                data[index].ctypes.data, _DRAM_BYTES // 4 // self._lanes - 8, 1
            )

        best = min(self._seconds(threads, read) for _ in range(3))
        return threads * _DRAM_BYTES / best / 1e9

    def roof(self, threads: int, patience_s: float = 20) -> Roof:
        """The best of several bursts; waits for cores that are not there.

        A shared machine may lack a core for minutes. Then the figure is what it would do with all.
        """
        alone = max(self.gflops(1) for _ in range(_BURSTS))
        until = time.monotonic() + patience_s
        while True:
            gflops = max(self.gflops(threads) for _ in range(_BURSTS))
            if gflops >= _LEAST_SHARE * threads * alone:
                return Roof(threads, gflops, self.dram_gbs(threads))
            if time.monotonic() > until:
                return Roof(threads, threads * alone, self.dram_gbs(threads), complete=False)
            time.sleep(0.5)


def _built(folder: Path, lanes: int, chains: int) -> Path:
    """The C functions as a library for this machine."""
    text = f"{_SOURCE.read_text()}{lanes}{chains}{cpu_name()}"
    path = folder / f"peak-{hashlib.sha256(text.encode()).hexdigest()[:12]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-O3", "-march=native", "-shared"]
        command += ["-fPIC", "-nostdlib", "-ffp-contract=fast", "-fno-sanitize=all"]
        command += [f"-DLANES={lanes}", f"-DCHAINS={chains}", str(_SOURCE), "-o", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    return path


def cpu_name() -> str:
    """What the kernel calls the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware"):
            return value.strip()
    return platform.machine()


def busy_s() -> float:
    """Processor time that the whole machine has used, what a hypervisor took away included."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, first[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
