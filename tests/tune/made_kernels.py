"""Kernels made by hand: each takes as long as it is told, by the board that it runs on."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from edgetvm.tune.building import BuildJob, Built
from edgetvm.tune.drawing import DrawJob

# Milliseconds on the first board, and on all others.
Pace = tuple[float, float]

_UNSET = struct.pack("<ii", 0x5EED0001, 0x5EED0002)
_PACED = """
char *getenv(const char *name);
int usleep(unsigned duration_us);
static const volatile int duration_us[2] = {0x5EED0001, 0x5EED0002};
int __tvm_ffi_main(void *self, void *arguments, int count, void *result) {
  const char *board = getenv("MADE_BOARD");
  usleep(duration_us[board == 0 || *board != 'a']);
  return 0;
}
"""


def compiled(folder: Path, name: str, source: str) -> bytes:
    """A shared object of C."""
    (folder / f"{name}.c").write_text(source)
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-nostdlib", "-fPIC", "-O1"]
    options = ["-fno-sanitize=all", "-Wno-everything", "-Wl,--allow-shlib-undefined"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(folder / "cache")}
    subprocess.run(
        [*command, *options, "-o", f"{name}.so", f"{name}.c"],
        cwd=folder, check=True, env=environment,
    )  # fmt: skip
    return (folder / f"{name}.so").read_bytes()


def paced_library(folder: Path) -> bytes:
    """A kernel without a pace."""
    library = compiled(folder, "paced", _PACED)
    assert library.count(_UNSET) == 1
    return library


class HandBuilder:
    """Builds kernels that only take time."""

    workers = 2

    def __init__(self, library: bytes, pace: Callable[[BuildJob], Pace]) -> None:
        """Give each candidate the pace that a function tells.

        Args:
            library: of `paced_library`.
            pace: of a candidate.
        """
        self._library, self._pace = library, pace

    def submit(self, job: BuildJob) -> Future[Built]:
        """At once."""
        durations_us = struct.pack("<ii", *(round(1000 * one) for one in self._pace(job)))
        future: Future[Built] = Future()
        future.set_result(Built(self._library.replace(_UNSET, durations_us)))
        return future

    def draw(self, job: DrawJob) -> Future[tuple[str, ...]]:
        """Nothing."""
        future: Future[tuple[str, ...]] = Future()
        future.set_result(())
        return future

    def paused(self) -> AbstractContextManager[None]:
        """It never computes."""
        return nullcontext()

    def close(self) -> None:
        """Nothing to end."""
