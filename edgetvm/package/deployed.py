"""A package in the C runtime, as boards run it, with what an `Executor` offers."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.models.model import Arrays, Signature
from edgetvm.package.archive import Package
from edgetvm.package.binding import edgetvm_lite
from edgetvm.package.crossbuild import BuiltRuntime
from edgetvm.package.engines import TimedCall
from edgetvm.package.executor import Executor
from edgetvm.package.manifest import PackagedTarget


def runs_in_c(target: PackagedTarget) -> bool:
    """Whether the C runtime can run it on this machine: TVM's virtual machine is not in it."""
    return target.executor == "native" and target.architecture == platform.machine()


class DeployedModel:
    """A model ready to run.

    Attributes:
        signature: of the model.
        threads: that it was opened for.
        invoke: one run on the inputs that were set, and nothing else.
    """

    def __init__(
        self,
        path: Path,
        package: Package,
        target: PackagedTarget,
        runtime: BuiltRuntime,
        threads: int | None = None,
    ) -> None:
        """Open a package.

        Args:
            path: of its file.
            package: the same, verified.
            target: of the package, for this machine.
            runtime: for this machine and its C library.
            threads: to run on; all cores without it.

        Raises:
            PackageError: the runtime refuses it; says why.
        """
        self.signature: Signature = package.manifest.signature
        self.threads = threads or len(os.sched_getaffinity(0))
        self._path, self._runtime = path, runtime
        self._library, self._target = package.members[target.library], target.profile
        self._inputs: Arrays = {}
        self._opened: dict[int, edgetvm_lite.Model] = {}
        self.share_among(self.threads)

    def share_among(self, threads: int) -> None:
        """Have the next runs use fewer threads, or all of them again.

        Args:
            threads: at most those that it was opened for.
        """
        threads = min(threads, self.threads)
        if threads not in self._opened:
            try:
                self._opened[threads] = edgetvm_lite.Model(
                    self._path, threads, self._target, self._runtime.folder
                )
            except edgetvm_lite.EdgetvmError as error:
                raise PackageError(str(error), where=self._path.name) from error
        self._model = self._opened[threads]
        self.invoke: Callable[[], object] = self._model.invoke
        if self._inputs:
            self._model.set_inputs(self._inputs)

    def set_inputs(self, inputs: Arrays) -> None:
        """Set what the next runs take. Of states, only the first run takes what is given.

        Raises:
            InputError: an input does not fit the signature.
        """
        self.signature.check_inputs(inputs)
        self._inputs = dict(inputs)
        self._model.set_inputs(inputs)

    def run_ns(self) -> int:
        """One run on the inputs that were set. Answers with its duration in nanoseconds."""
        began = time.perf_counter_ns()
        self.invoke()
        return time.perf_counter_ns() - began

    def outputs(self) -> dict[str, NDArray[np.generic]]:
        """What the last run gave."""
        return self._model.outputs_now()

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """Set the inputs, run once, give the outputs.

        Raises:
            InputError: an input does not fit the signature.
        """
        self.set_inputs(inputs)
        self.invoke()
        return self.outputs()

    def timed_calls(self) -> list[TimedCall]:
        """One run in TVM's runtime, with the time of each call of a kernel."""
        self._watched.set_inputs(self._inputs)
        return self._watched.timed_calls()

    @cached_property
    def _watched(self) -> Executor:
        return Executor(self._library, self.signature, self.threads)


def opened(
    path: Path,
    package: Package,
    target: PackagedTarget,
    runtime: BuiltRuntime | None,
    threads: int | None = None,
) -> Executor | DeployedModel:
    """A package ready to run: in the C runtime, or in TVM's where only that can run it.

    Args:
        runtime: for this machine; TVM's runtime runs the package without it.
        path, package, target, threads: as `DeployedModel` takes them.

    Raises:
        PackageError: the runtime refuses it; says why.
    """
    if runtime is not None and runs_in_c(target):
        return DeployedModel(path, package, target, runtime, threads)
    return Executor(package.members[target.library], package.manifest.signature, threads)
