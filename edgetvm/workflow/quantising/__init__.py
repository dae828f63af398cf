"""Post-training quantisation: float model and real inputs in, 8-bit model and its loss out."""

from edgetvm.workflow.quantising.comparing import Comparison, Side, compare
from edgetvm.workflow.quantising.data import Case, Data, check_there, gathered
from edgetvm.workflow.quantising.judging import Figure, Judge, loss_pct
from edgetvm.workflow.quantising.quantizing import Quantized, quantize
from edgetvm.workflow.quantising.searching import LayerError

__all__ = [
    "Case",
    "Comparison",
    "Data",
    "Figure",
    "Judge",
    "LayerError",
    "Quantized",
    "Side",
    "check_there",
    "compare",
    "gathered",
    "loss_pct",
    "quantize",
]
