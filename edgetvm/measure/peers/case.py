"""A model ready for every peer, and what one process of a peer runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[np.generic]]


class Unavailable(Exception):
    """A model or an engine that is left out, and why."""


@dataclass(frozen=True)
class Case:
    """A model, ready for every engine.

    Attributes:
        kind: `fp32` or `int8`.
        file: the model with all its shapes fixed: .onnx or .tflite.
        simplified: the same after onnxsim, for engines that do better on it; None for TFLite.
        data: an .npz with the inputs (`input0`, …) and the expected outputs (`output0`, …).
        inputs: names of the inputs, in the file's order.
        outputs: names of the outputs, likewise.
        operators: kinds of operators of an ONNX file.
    """

    name: str
    kind: str
    file: Path
    simplified: Path | None
    data: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: frozenset[str] = frozenset()

    @property
    def format(self) -> str:
        """`onnx` or `tflite`."""
        return self.file.suffix.removeprefix(".")

    def input_arrays(self) -> Arrays:
        """What every engine is given."""
        with np.load(self.data) as arrays:
            return [arrays[f"input{index}"] for index in range(len(self.inputs))]

    def expected(self) -> Arrays:
        """What every engine should answer."""
        with np.load(self.data) as arrays:
            return [arrays[f"output{index}"] for index in range(len(self.outputs))]


def case_in(folder: Path, name: str) -> Case:
    """The case that was made ready in a folder: see `edgetvm.measure.peers.preparing`."""
    told: dict[str, Any] = json.loads((folder / "case.json").read_text())
    return Case(
        name=name,
        kind=told["kind"],
        file=folder / f"model.{told['format']}",
        simplified=folder / "simplified.onnx" if told["simplified"] else None,
        data=folder / "data.npz",
        inputs=tuple(told["inputs"]),
        outputs=tuple(told["outputs"]),
        operators=frozenset(told["operators"]),
    )


@dataclass(frozen=True)
class Task:
    """What one worker process runs.

    Attributes:
        engine: its name in `edgetvm.measure.peers.PEERS`.
        setting: which of the engine's settings; empty for the first.
        packages: folders that Python looks in first, as in PYTHONPATH, with the engine's package;
            empty where it is installed.
    """

    engine: str
    setting: str
    case: Case
    threads: int
    packages: str = field(default="", kw_only=True)

    @property
    def title(self) -> str:
        """Its name in reports."""
        return f"{self.engine} ({self.setting})" if self.setting else self.engine


class Loaded(Protocol):
    """A model in an engine, with its inputs set.

    Attributes:
        facts: what the report keeps: the engine's version, compile time, …
    """

    facts: dict[str, Any]

    def run(self) -> object:
        """What is timed: one inference."""

    def outputs(self) -> Arrays:
        """Run once and give the answers, in the file's order."""
