"""ONNX Runtime's own static quantisation, as its users run it for x86: every operator it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.latency.inputs import made_up
from edgetvm.measure.peers.case import Case
from edgetvm.models.quantising import ready_graph

_CALIBRATION_INPUTS = 8


class _Reader:
    """Hands out calibration inputs one by one."""

    def __init__(self, case: Case) -> None:
        given = list(zip(case.inputs, case.input_arrays(), strict=True))
        self._left: list[dict[str, Any]] = [
            {name: made_up(name, array.shape, array.dtype, seed) for name, array in given}
            for seed in range(_CALIBRATION_INPUTS)
        ]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None

    def rewind(self) -> None:
        """Nothing: calibration reads once."""


def quantised(case: Case, target: Path) -> Path:
    """A QDQ model: uint8 activations, int8 weights per channel, over the simplified model."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    ready = target.with_name("ready.onnx")
    onnx.save(ready_graph(onnx.load(case.simplified or case.file), {}, case.name), ready)
    quantize_static(
        str(ready),
        str(target),
        _Reader(case),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    ready.unlink()
    return target
