"""Which kernel of a model in float16 first writes a value that float16 cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.compile.artifact import Kernel
from edgetvm.models.model import Arrays
from edgetvm.package.executor import Executor

LARGEST = 65504


def first_overflow(
    executor: Executor, kernels: Sequence[Kernel], inputs: Arrays
) -> tuple[str, ...] | None:
    """The nodes of the first kernel call that makes infinite what was finite; None without one.

    Args:
        executor: watched from then on, so that its runs are slow.
        kernels: of the model.
        inputs: of the run.
    """
    watcher = _Watcher()
    executor.watch(watcher)
    executor.run(inputs)
    if watcher.found is None:
        return None
    name, call = watcher.found
    kernel = next((one for one in kernels if one.name == name), None)
    return kernel.nodes[call] if kernel is not None and call < len(kernel.nodes) else (name,)


class _Watcher:
    """What the virtual machine calls before and after each call of a run."""

    def __init__(self) -> None:
        self.found: tuple[str, int] | None = None
        self._calls: Counter[str] = Counter()
        self._infinite: list[bool] = []

    def __call__(self, _function: Any, name: str, before: bool, _value: Any, *args: Any) -> int:
        if self.found is not None:
            return 0
        infinite = [_is_infinite(one) for one in args]
        if before:
            self._infinite = infinite
            return 0
        if any(now and not then for now, then in zip(infinite, self._infinite, strict=True)):
            self.found = name, self._calls[name]
        self._calls[name] += 1
        return 0


def _is_infinite(argument: Any) -> bool:
    if str(getattr(argument, "dtype", "")) != "float16":
        return False
    return bool(np.isinf(argument.numpy()).any())
