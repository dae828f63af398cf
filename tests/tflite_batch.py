"""Operators of TFLite, many in one file, each compared with LiteRT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from litert import by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, write_graphs

# What float results may be apart: sums in another order.
FLOAT = 2e-6

Options = tuple[str, Mapping[str, Any]] | None


def numbers(tensor: T, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    kind = np.dtype(tensor.dtype).kind
    if kind == "f":
        return (low + (high - low) * random.random(tensor.shape)).astype(tensor.dtype)
    if kind == "b":
        return random.random(tensor.shape) < 0.5
    if tensor.scale is None:
        return random.integers(int(low), int(high) + 1, tensor.shape).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    return random.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)


@dataclass
class Batch:
    """Many operators side by side in one file: built once, compared one by one."""

    folder: Path
    tensors: list[T] = field(default_factory=list)
    operators: list[Op] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    allowed: list[tuple[str, float]] = field(default_factory=list)

    def add(
        self,
        name: str,
        inputs: Sequence[T],
        outputs: Sequence[T],
        options: Options = None,
        *,
        allowed: float = 0.0,
        low: float = -1.0,
        high: float = 1.0,
        version: int = 1,
    ) -> None:
        """One operator; its inputs that have data are constants."""
        first = len(self.tensors)
        for index, tensor in enumerate(inputs):
            if tensor.data is None:
                self.given.append(first + index)
                self.arrays.append(numbers(tensor, index, low, high))
        self.tensors += [replace(tensor) for tensor in (*inputs, *outputs)]
        results = list(range(first + len(inputs), len(self.tensors)))
        taken = list(range(first, first + len(inputs)))
        self.operators.append(Op(name, taken, results, options, version=version))
        self.results += results
        shapes = ", ".join(f"{one.dtype}{list(one.shape)}" for one in inputs)
        self.allowed += [(f"{name} of {shapes}", allowed)] * len(results)

    def agree(self) -> None:
        """Compare all outputs with LiteRT's."""
        graph = Sub(self.tensors, self.operators, self.given, self.results)
        path = write_graphs(self.folder / "m.tflite", graph)
        expected = by_litert(path, self.arrays)
        found = by_edgetvm(path, self.arrays)
        wrong = []
        for a, b, (name, allowed) in zip(found, expected, self.allowed, strict=True):
            apart = furthest([a], [b])
            if not apart <= allowed:
                wrong.append(f"{name}: {apart} apart, {allowed} allowed")
        assert not wrong, "\n".join(wrong)


def together(**choices: Sequence[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test of a function that adds operators: called with every combination, in one file."""

    def wrap(add: Callable[..., None]) -> Callable[..., None]:
        def test(tmp_path: Path) -> None:
            batch = Batch(tmp_path)
            for values in product(*choices.values()):
                add(batch, **dict(zip(choices, values, strict=True)))
            batch.agree()

        return test

    return wrap
