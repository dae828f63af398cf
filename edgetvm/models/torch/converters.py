"""The table of PyTorch operators; those that it lacks are TVM's."""

from __future__ import annotations

from edgetvm.models.torch.arithmetic import ARITHMETIC
from edgetvm.models.torch.call import Converter
from edgetvm.models.torch.indexing import INDEXING
from edgetvm.models.torch.layers import LAYERS
from edgetvm.models.torch.normalisation import NORMALISATION
from edgetvm.models.torch.quantised import QUANTISED
from edgetvm.models.torch.recurrent import RECURRENT_LAYERS
from edgetvm.models.torch.resizing import RESIZING

CONVERTERS: dict[str, Converter] = {
    **ARITHMETIC,
    **LAYERS,
    **NORMALISATION,
    **INDEXING,
    **RESIZING,
    **RECURRENT_LAYERS,
    **QUANTISED,
}

# Converted whole: PyTorch would take them apart into what is slower, or what TVM cannot read.
KEPT = (
    *RESIZING,
    *RECURRENT_LAYERS,
    "aten.scaled_dot_product_attention.default",
    "aten.im2col.default",
)
