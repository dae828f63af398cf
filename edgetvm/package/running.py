"""A model that is open in this process and ready to run, whatever runtime runs it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.model import Arrays, Signature
from edgetvm.package.engines import TimedCall


class RunningModel(ABC):
    """See `Executor` for TVM's runtime and `DeployedModel` for the one that boards have.

    Attributes:
        signature: of the model.
        threads: that it was opened for.
        invoke: one run on the inputs that were set, and nothing else.
    """

    signature: Signature
    threads: int
    invoke: Callable[[], object]

    @abstractmethod
    def set_inputs(self, inputs: Arrays) -> None:
        """Set what the next runs take.

        Raises:
            InputError: an input does not fit the signature.
        """

    @abstractmethod
    def outputs(self) -> dict[str, NDArray[np.generic]]:
        """What the last run gave."""

    @abstractmethod
    def share_among(self, threads: int) -> None:
        """Have the next runs use fewer threads, or all of them again.

        Args:
            threads: at most those that it was opened for.
        """

    @abstractmethod
    def timed_calls(self) -> list[TimedCall]:
        """One run, with the time of each call of a kernel or of a function of the runtime.

        Later runs may be slower.
        """

    def run_ns(self) -> int:
        """One run on the inputs that were set. Answers with its duration in nanoseconds."""
        began_ns = time.perf_counter_ns()
        self.invoke()
        return time.perf_counter_ns() - began_ns

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """Set the inputs, run once, give the outputs.

        Raises:
            InputError: an input does not fit the signature.
        """
        self.set_inputs(inputs)
        self.invoke()
        return self.outputs()
