"""A graph with quantised layers, and what it answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.native import native_words_kept_back
from edgetvm.models.model import Arrays
from edgetvm.models.onnx.order import sort
from edgetvm.models.quantising.layers import PRODUCTS, Layer

if TYPE_CHECKING:
    import onnx


def quantised(graph: onnx.ModelProto, found: Any, layers: Sequence[Layer]) -> onnx.ModelProto:
    """The graph with these layers quantised by ONNX Runtime, and all others in float.

    What they take is uint8, their weights int8 with a scale for each channel; both use all 8 bits,
    since our kernels' sums do not saturate. What they give is float: the next layer rounds it,
    once, after the operators in between. QuantizeLinear and DequantizeLinear nodes say so.

    Args:
        graph: see `ready_graph`.
        found: its ranges.
        layers: of `layers_of` this graph; at least one.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    with native_words_kept_back():
        quantiser = QDQQuantizer(
            copy.deepcopy(graph),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=found,
            nodes_to_quantize=[layer.name for layer in layers],
            nodes_to_exclude=[],
            op_types_to_quantize=list(PRODUCTS),
            extra_options={"OpTypesToExcludeOutputQuantization": list(PRODUCTS)},
        )
        quantiser.quantize_model()
    model: onnx.ModelProto = quantiser.model.model
    sort(model.graph)
    return model


class GraphRunner:
    """Runs a graph in ONNX Runtime, with quantised operators as they are defined.

    Its fused 8-bit kernels would round otherwise, and saturate on CPUs without VNNI.
    """

    def __init__(self, graph: onnx.ModelProto) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """Arrays by input name in, arrays by output name out."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))
