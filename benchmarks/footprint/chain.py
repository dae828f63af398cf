"""What a call of a kernel costs: a long chain of one-element operators against a short one."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.footprint.runner import packaged, ran
from edgetvm.compile import compiler
from edgetvm.measure.peers.case import Case

LONG, SHORT = 201, 1
_FUSING = ("choose what to fuse", "fuse loops")
_RUNS = 20_000


def chain(length: int, folder: Path) -> Case:
    """A chain of additions of one element, as a case for every engine."""
    constants = [
        numpy_helper.from_array(np.full((1, 1), 1 + index, np.float32), f"c{index}")
        for index in range(length)
    ]
    nodes = [
        helper.make_node("Add", [f"x{index}", f"c{index}"], [f"x{index + 1}"])
        for index in range(length)
    ]
    last = f"x{length}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 1])],
        constants,
    )
    case_folder = folder / f"chain-{length}"
    case_folder.mkdir(parents=True, exist_ok=True)
    file, data = case_folder / "model.onnx", case_folder / "data.npz"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, file)
    given = np.ones((1, 1), np.float32)
    np.savez(data, input0=given, output0=given + sum(range(1, length + 1)))
    return Case(f"chain-{length}", "fp32", file, None, data, ("x0",), (last,), frozenset({"Add"}))


def kernel_ns(folder: Path) -> float:
    """Nanoseconds of each further kernel of a run, its one addition included."""
    # Every operator must be a kernel of its own, which no option of edgetvm asks for.
    unfused = tuple(one for one in compiler.KERNEL_PASSES if one.title not in _FUSING)
    least_ns = {}
    with mock.patch.object(compiler, "KERNEL_PASSES", unfused):
        for length in (LONG, SHORT):
            package = packaged(chain(length, folder).file, folder / f"chain-{length}.edgetvm")
            report = ran(package, "--warmup", "100", "--repeat", str(_RUNS))
            least_ns[length] = min(report["samples_ns"])
    return float(least_ns[LONG] - least_ns[SHORT]) / (LONG - SHORT)
