"""Float ONNX graphs quantised to 8 bits after training, layer by layer as far as is wanted."""

from edgetvm.models.quantising.layers import PRODUCTS, Layer, layers_of
from edgetvm.models.quantising.quantiser import GraphRunner, quantised
from edgetvm.models.quantising.ranges import METHODS, QUICK_METHODS, Method, ranges
from edgetvm.models.quantising.ready import check_format, ready_for_quantising, ready_graph

__all__ = [
    "METHODS",
    "PRODUCTS",
    "QUICK_METHODS",
    "GraphRunner",
    "Layer",
    "Method",
    "check_format",
    "layers_of",
    "quantised",
    "ranges",
    "ready_for_quantising",
    "ready_graph",
]
