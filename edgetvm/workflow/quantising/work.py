"""A float graph on its way to 8 bits: its layers, what it is judged on, and trials of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetvm.base.errors import ModelError
from edgetvm.models.model import Arrays, Model, Signature
from edgetvm.models.quantising import (
    GraphRunner,
    Layer,
    layers_of,
    quantised,
    ready_for_quantising,
)
from edgetvm.models.reference import Runner, run_stream
from edgetvm.recipes import Recipe
from edgetvm.workflow.quantising.data import Case, Data
from edgetvm.workflow.quantising.judging import Answer, Figure, Judge, relative_error
from edgetvm.workflow.quantising.searching import Loss

if TYPE_CHECKING:
    import onnx

# To order layers by; each is run once for every layer.
_RANKED_CASES = 8
_RANKED_CHUNKS = 64


class Work:
    """A float graph, its layers, and the cases that it is judged on."""

    def __init__(self, model: Model, recipe: Recipe | None, data: Data) -> None:
        self.graph = ready_for_quantising(model)
        self.layers = layers_of(self.graph)
        if not self.layers:
            raise ModelError(
                "there is no layer that could be quantised",
                where=str(model.source),
                mend="compile it in float",
            )
        self.signature = model.signature
        self.data = data
        self.original = GraphRunner(self.graph)
        self.judge = Judge(recipe, data.judged, self.answer(self.original))

    def answer(self, runner: Runner) -> Answer:
        """What runs a case: a stream chunk after chunk, its own state carried."""
        if not self.signature.states:
            return runner.run
        return lambda chunks: run_stream(runner, self.signature, chunks)

    def calibration_inputs(self) -> list[Arrays]:
        """Whole inputs, of a stream with the states that the float model has there."""
        if not self.signature.states:
            return [case.inputs for case in self.data.calibration]
        recorder = _Recorder(self.original)
        for case in self.data.calibration:
            run_stream(recorder, self.signature, case.inputs)
        return recorder.inputs

    def quantised(self, found: Any, layers: Sequence[Layer]) -> onnx.ModelProto:
        """The graph with these layers quantised."""
        return quantised(self.graph, found, layers)

    def figures(self, graph: onnx.ModelProto) -> tuple[Figure, ...]:
        """What the judge says of a graph."""
        return self.judge.figures(self.answer(GraphRunner(graph)))


class _Recorder:
    """Keeps what a runner is given."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.inputs: list[Arrays] = []

    def run(self, inputs: Arrays) -> dict[str, Any]:
        self.inputs.append(dict(inputs))
        return self._runner.run(inputs)


def errors_alone(work: Work, found: Any) -> Loss:
    """The error of the outputs in percent, when only some layers are quantised."""
    cases = [_cut(case, work.signature) for case in work.data.judged[:_RANKED_CASES]]
    original = work.answer(work.original)
    expected = [original(one) for one in cases]

    def error_pct(layers: Sequence[Layer]) -> float:
        answer = work.answer(GraphRunner(work.quantised(found, layers)))
        outputs = [answer(one) for one in cases]
        return 100 * max(
            relative_error(
                np.concatenate([np.ravel(one[name]) for one in outputs]),
                np.concatenate([np.ravel(one[name]) for one in expected]),
            )
            for name in expected[0]
        )

    return error_pct


def _cut(case: Case, signature: Signature) -> Arrays:
    if not signature.states:
        return case.inputs
    return {name: array[:_RANKED_CHUNKS] for name, array in case.inputs.items()}
