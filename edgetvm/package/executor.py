"""Runs a verified package in this process."""

from __future__ import annotations

import ctypes
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.base.files import write_bytes
from edgetvm.boards.detect import cpu_flags
from edgetvm.models.model import Arrays, Signature
from edgetvm.package.archive import Package
from edgetvm.package.cores import apart, noting_workers
from edgetvm.package.engines import Engine, TimedCall, engine_of
from edgetvm.package.manifest import Manifest, PackagedTarget, TargetNeeds
from edgetvm.package.running import RunningModel

Result = TypeVar("Result")

# What kernels that share their work among threads call.
_PARALLEL = b"TVMBackendParallelLaunch"
# TVM's `ThreadGroup::kBig`. Threads are not bound to cores, so it only stands in its place.
_ANY_CORES = 1


def check_machine(needs: TargetNeeds) -> None:
    """Refuse code that this machine cannot run, before any of it is mapped.

    Raises:
        PackageError: another architecture, or a missing CPU feature.
    """
    machine = platform.machine()
    if machine != needs.architecture:
        raise PackageError(
            f"it is compiled for {needs.architecture} ({needs.profile})",
            mend=f"this machine is {machine}: package it for a profile of that architecture",
        )
    present = cpu_flags()
    missing = [flag for flag in needs.required_cpu_flags if flag not in present]
    if missing:
        raise PackageError(
            f"it needs the CPU feature{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            mend=f"this CPU lacks {'them' if len(missing) > 1 else 'it'}: "
            "package it for a profile without",
        )


def fitting_target(manifest: Manifest) -> PackagedTarget:
    """The first target that this machine can run.

    Raises:
        PackageError: there is none.
    """
    refusals = []
    for target in manifest.targets:
        try:
            check_machine(target)
        except PackageError as error:
            refusals.append((target.profile, error))
        else:
            return target
    if len(refusals) == 1:
        raise refusals[0][1]
    told = "; ".join(f"{profile}: {error.what}" for profile, error in refusals)
    raise PackageError(
        f"none of its targets is for this machine: {told}",
        mend=f"package it for a profile of {platform.machine()} that this CPU fits",
    )


class Executor(RunningModel):
    """A model in TVM's runtime.

    TVM keeps one pool of worker threads a process: the first executor of a process decides how
    many there are.
    """

    def __init__(self, library: bytes, signature: Signature, threads: int | None = None) -> None:
        """Load a compiled library.

        Args:
            library: the shared object of an artifact or package.
            signature: of the model.
            threads: to run on; all cores without it.
        """
        # Said in every case: without it TVM takes OMP_NUM_THREADS, or half of the cores.
        os.environ["TVM_NUM_THREADS"] = str(threads or len(os.sched_getaffinity(0)))
        # TVM would pin this thread to one core, and all that it starts later with it.
        os.environ["TVM_BIND_THREADS"] = "0"
        import tvm

        # The library leaves libm's functions undefined: they must be in the global scope.
        ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
        self.signature = signature
        self.threads = int(noting_workers(tvm.get_global_func("runtime.NumThreads")))
        with tempfile.TemporaryDirectory(prefix="edgetvm-") as folder:
            path = Path(folder, "model.so")
            write_bytes(path, library)
            self._engine: Engine = engine_of(path, signature)
        self._is_shared = _PARALLEL in library
        self.invoke = self._placed(self._engine.invoke)

    @classmethod
    def of(cls, package: Package, threads: int | None = None) -> Executor:
        """An executor for the target of a verified package that fits this machine.

        Raises:
            PackageError: this machine can run none of them.
        """
        target = fitting_target(package.manifest)
        return cls(package.members[target.library], package.manifest.signature, threads)

    def _placed(self, run: Callable[[], Result]) -> Callable[[], Result]:
        """A run with workers, where it has any, off the caller's core."""
        return apart(run, self.threads) if self._is_shared else run

    def set_inputs(self, inputs: Arrays) -> None:
        """See `RunningModel`."""
        self.signature.check_inputs(inputs)
        self._engine.set_inputs([np.asarray(inputs[spec.name]) for spec in self.signature.inputs])

    def share_among(self, threads: int) -> None:
        """See `RunningModel`; of this thread's runs."""
        import tvm

        tvm.get_global_func("runtime.config_threadpool")(_ANY_CORES, min(threads, self.threads))

    def timed_calls(self) -> list[TimedCall]:
        """See `RunningModel`."""
        return self._placed(self._engine.timed_calls)()

    def watch(self, watcher: Callable[..., int]) -> None:
        """Have TVM call `watcher(function, name, before, value, *arguments)` round every call.

        It answers with 0. Runs are slower from then on.

        Raises:
            TypeError: the library runs without TVM's virtual machine.
        """
        self._engine.watch(watcher)

    def outputs(self) -> dict[str, NDArray[np.generic]]:
        """See `RunningModel`."""
        names = [spec.name for spec in self.signature.outputs]
        return dict(zip(names, self._engine.outputs(), strict=True))
