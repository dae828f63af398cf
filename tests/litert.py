"""Run a TFLite file in LiteRT and in what the importer made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tvm
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tvm import relax

from edgetvm.models import Model, import_model
from edgetvm.models.reference import Source, reference_for

Array = NDArray[Any]


class Refused(Exception):
    """LiteRT itself has no kernel for this."""


def by_litert(path: Path, inputs: list[Array]) -> list[Array]:
    """The answers of LiteRT's default kernels."""
    try:
        interpreter = Interpreter(model_path=str(path))
        for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.resize_tensor_input(detail["index"], array.shape)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error)) from error
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


class Built:
    """An imported model, compiled as quickly as TVM can, or else so that a large one runs well."""

    def __init__(self, model: Model, large: bool = False) -> None:
        self.model = model
        target = tvm.target.Target({"kind": "llvm", "opt-level": 3 if large else 0})
        with tvm.transform.PassContext(opt_level=0):
            executable = relax.build(model.module, target=target)
        self._machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, inputs: list[Array]) -> list[Array]:
        """One run; arrays in the order of the signature."""
        results = self._machine["main"](*(tvm.runtime.tensor(array) for array in inputs))
        single = len(self.model.signature.outputs) == 1 and hasattr(results, "numpy")
        return [one.numpy() for one in ([results] if single else results)]


def by_edgetvm(path: Path, inputs: list[Array]) -> list[Array]:
    """The answers of the imported model."""
    return Built(import_model(path)).run(inputs)


def furthest(found: list[Array], expected: list[Array]) -> float:
    """The largest difference; shapes and dtypes must be equal."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.size:
            apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
            worst = max(worst, float(np.where(a == b, 0, apart).max()))
    return worst


def streams_agree(path: Path, chunks: int) -> None:
    """A stream, chunk by chunk: LiteRT keeps its own state; ours goes in and out."""
    model = import_model(path)
    signature = model.signature
    streamed = {state.input: state.output for state in signature.states}
    built, interpreter = Built(model), Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    carried = signature.initial_states()
    random = np.random.default_rng(5)
    (source,) = [spec for spec in signature.inputs if spec.name not in streamed]
    reference = reference_for(Source.of(model))
    for _ in range(chunks):
        # Like a spectrum: neighbouring values are alike.
        steps = np.cumsum(random.integers(-15, 16, source.shape), axis=-1)
        chunk = np.clip(steps + random.integers(-128, 60), -128, 127).astype(source.dtype)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], chunk)
        interpreter.invoke()
        wanted = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
        names = [spec.name for spec in signature.outputs]
        answers = built.run([{source.name: chunk, **carried}[one.name] for one in signature.inputs])
        found = dict(zip(names, answers, strict=True))
        assert furthest([found[name] for name in names[: len(wanted)]], wanted) == 0
        # LiteRT shows what it keeps only where that goes in and out.
        stepped = reference.run({source.name: chunk, **carried})
        assert list(stepped) == names
        assert furthest(answers, list(stepped.values())) == 0
        carried = {into: found[out] for into, out in streamed.items()}
