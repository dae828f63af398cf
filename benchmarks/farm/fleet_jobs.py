"""Jobs of a fleet: edgetvm's own commands, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "edgetvm")


@dataclass
class Job:
    """A command under way.

    Attributes:
        kind: `bench`, `tune` or `provision`.
        process: of it.
        said: its stderr.
        is_hit: whether a fault was meant for it.
    """

    kind: str
    process: subprocess.Popen[bytes]
    said: Path
    is_hit: bool = False


def _bench(names: list[str]) -> list[str]:
    words = ["bench", "{model}", "--device", ",".join(names), "--runs", "20", "--wait", "60"]
    return [*words, *(["--any"] if len(names) > 1 else [])]


def _tune(names: list[str]) -> list[str]:
    words = ["tune", "{model}", "--device", ",".join(names), "--trials", "6", "--builders", "1"]
    return [*words, "--database", "{trials}"]


def _provision(names: list[str]) -> list[str]:
    return ["provision", names[0]]


KINDS: Mapping[str, Callable[[list[str]], list[str]]] = {
    "bench": _bench,
    "tune": _tune,
    "provision": _provision,
}
OFTEN = (5, 3, 2)


def write_model(path: Path) -> str:
    """Two small products of matrices: a kernel that there is something to tune about."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).normal(size=(2, 64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["bent"]),
            helper.make_node("MatMul", ["bent", "second"], ["y"]),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [16, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, 64])],
        [numpy_helper.from_array(weights[at], name) for at, name in enumerate(("first", "second"))],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path
    )
    return str(path)
