"""A package in the C runtime, as boards run it."""

from __future__ import annotations

import os
import platform
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package
from edgetvm.package.binding import edgetvm_lite
from edgetvm.package.crossbuild import BuiltRuntime
from edgetvm.package.engines import TimedCall
from edgetvm.package.executor import Executor
from edgetvm.package.manifest import PackagedTarget
from edgetvm.package.running import RunningModel


def runs_in_c(target: PackagedTarget) -> bool:
    """Whether the C runtime can run it on this machine: TVM's virtual machine is not in it."""
    return target.executor == "native" and target.architecture == platform.machine()


class DeployedModel(RunningModel):
    """A model in the C runtime."""

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
        self.signature = package.manifest.signature
        self.threads = threads or len(os.sched_getaffinity(0))
        self._path, self._runtime = path, runtime
        self._library, self._target = package.members[target.library], target.profile
        self._inputs: Arrays = {}
        self._opened: dict[int, edgetvm_lite.Model] = {}
        self.share_among(self.threads)

    def share_among(self, threads: int) -> None:
        """See `RunningModel`."""
        threads = min(threads, self.threads)
        if threads not in self._opened:
            try:
                self._opened[threads] = edgetvm_lite.Model(
                    self._path, threads, self._target, self._runtime.folder
                )
            except edgetvm_lite.EdgetvmError as error:
                raise PackageError(str(error), where=self._path.name) from error
        self._model = self._opened[threads]
        self.invoke = self._model.invoke
        if self._inputs:
            self._model.set_inputs(self._inputs)

    def set_inputs(self, inputs: Arrays) -> None:
        """See `RunningModel`. Of states, only the first run takes what is given."""
        self.signature.check_inputs(inputs)
        self._inputs = dict(inputs)
        self._model.set_inputs(inputs)

    def outputs(self) -> dict[str, NDArray[np.generic]]:
        """See `RunningModel`."""
        return self._model.outputs_now()

    def timed_calls(self) -> list[TimedCall]:
        """See `RunningModel`; the run is one of TVM's runtime."""
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
) -> RunningModel:
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
