"""The one table of converters of our own.

An operator that is not here is converted by TVM's ONNX frontend; one that TVM does not have either
is opened into the function by which ONNX defines it.
"""

from __future__ import annotations

from edgetvm.models.onnx.classical import CLASSICAL
from edgetvm.models.onnx.control_flow import CONTROL_FLOW
from edgetvm.models.onnx.convolution import CONVOLUTION
from edgetvm.models.onnx.deformable import DEFORMABLE
from edgetvm.models.onnx.elementwise import ELEMENTWISE
from edgetvm.models.onnx.indexing import INDEXING
from edgetvm.models.onnx.ngrams import NGRAMS
from edgetvm.models.onnx.node import Converter
from edgetvm.models.onnx.normalisation import NORMALISATION
from edgetvm.models.onnx.pooling import POOLING
from edgetvm.models.onnx.quantised import QUANTISED
from edgetvm.models.onnx.recurrent import RECURRENT
from edgetvm.models.onnx.resizing import RESIZING
from edgetvm.models.onnx.runtime_attention import RUNTIME_ATTENTION
from edgetvm.models.onnx.runtime_fused import RUNTIME_FUSED
from edgetvm.models.onnx.runtime_quantised import RUNTIME_QUANTISED
from edgetvm.models.onnx.shapes import SHAPES
from edgetvm.models.onnx.signal import SIGNAL
from edgetvm.models.onnx.trees import TREES

CONVERTERS: dict[str, Converter] = {
    **CLASSICAL,
    **CONTROL_FLOW,
    **CONVOLUTION,
    **DEFORMABLE,
    **ELEMENTWISE,
    **INDEXING,
    **NGRAMS,
    **NORMALISATION,
    **POOLING,
    **QUANTISED,
    **RECURRENT,
    **RESIZING,
    **RUNTIME_ATTENTION,
    **RUNTIME_FUSED,
    **RUNTIME_QUANTISED,
    **SHAPES,
    **SIGNAL,
    **TREES,
}
