"""ONNX Runtime's own static quantisation, as its users run it for x86."""

from __future__ import annotations

from pathlib import Path

from benchmarks.latency.case import Case
from benchmarks.latency.inputs import made_up
from edgetvm.models import quantising

_CALIBRATION_INPUTS = 8


def quantised(case: Case, target: Path) -> Path:
    """A QDQ model: uint8 activations, int8 weights per channel, over the simplified model."""
    import onnx

    graph = quantising.ready_graph(onnx.load(case.simplified or case.file), {}, case.name)
    given = list(zip(case.inputs, case.input_arrays(), strict=True))
    inputs = [
        {name: made_up(name, array.shape, array.dtype, seed) for name, array in given}
        for seed in range(_CALIBRATION_INPUTS)
    ]
    found = quantising.ranges(graph, inputs, "minmax")
    onnx.save(quantising.quantised(graph, found, quantising.layers_of(graph)), target)
    return target
