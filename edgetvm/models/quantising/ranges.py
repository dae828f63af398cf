"""Calibration: within which bounds the tensors of a graph lie on real inputs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from edgetvm.base.native import native_words_kept_back
from edgetvm.models.model import Arrays
from edgetvm.models.quantising.layers import PRODUCTS

if TYPE_CHECKING:
    import onnx

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)
# Entropy takes a fifth of a second for each tensor, and won nowhere that it was tried.
QUICK_METHODS: tuple[Method, ...] = ("minmax", "percentile")

# ONNX Runtime's own 128 bins for 128 levels would leave entropy one choice, the whole range.
_OPTIONS: dict[Method, dict[str, Any]] = {
    "minmax": {},
    "percentile": {"num_bins": 2048, "percentile": 99.99},
    "entropy": {"num_bins": 512, "num_quantized_bins": 128},
}
_NAMES: dict[Method, str] = {
    "minmax": "MinMax",
    "percentile": "Percentile",
    "entropy": "Entropy",
}


class _One:
    """Hands out one input, and then no more."""

    def __init__(self, arrays: Arrays) -> None:
        self._left: Arrays | None = arrays

    def get_next(self) -> Arrays | None:
        given, self._left = self._left, None
        return given


def ranges(graph: onnx.ModelProto, inputs: Sequence[Arrays], method: Method) -> Any:
    """The range of each float tensor around a product, found by ONNX Runtime's calibrators.

    Args:
        graph: see `ready_graph`.
        inputs: arrays by input name, one after another.
        method: `minmax` takes all values in; `percentile` leaves out 0.01 %; `entropy` cuts where
            the distribution of the rounded values is most like the real one (Migacz, 8-bit
            Inference with TensorRT, 2017).

    Returns:
        ONNX Runtime's `TensorsData`, for `quantised`.
    """
    extremes = _collected(graph, inputs, "minmax", None)
    return extremes if method == "minmax" else _collected(graph, inputs, method, extremes)


def _collected(
    graph: onnx.ModelProto, inputs: Sequence[Arrays], method: Method, extremes: Any
) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    with tempfile.TemporaryDirectory() as folder, native_words_kept_back():
        path = Path(folder, "graph.onnx")
        onnx.save(graph, path)
        calibrator = create_calibrator(
            path,
            PRODUCTS,
            augmented_model_path=str(Path(folder, "watched.onnx")),
            calibrate_method=CalibrationMethod[_NAMES[method]],
            extra_options=_OPTIONS[method],
        )
        if extremes is not None:
            calibrator.collector = _histograms(extremes, method)
        # One by one: it keeps all tensors of all inputs that it is given at once.
        for arrays in inputs:
            calibrator.collect_data(_One(arrays))
        return calibrator.compute_data()


def _histograms(extremes: Any, method: Method) -> Any:
    """Empty ones as wide as they will be: each larger value would add bins, without limit."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    options = {"num_quantized_bins": 128, "percentile": 100.0, **_OPTIONS[method]}
    collector = HistogramCollector(method, symmetric=False, scenario="same", **options)
    for name, found in extremes.items():
        low, high = (np.float32(np.max(bound)) for bound in found.range_value)
        widest = max(abs(low), abs(high))
        edges = np.linspace(-widest, widest, options["num_bins"] + 1, dtype=np.float32)
        empty = np.zeros(options["num_bins"], np.int64)
        collector.histogram_dict[name] = (empty, edges, low, high, widest)
    return collector
