"""Importers, the `Model` they make, and the reference runtimes it is compared with."""

from edgetvm.models.importers import IMPORTERS, import_model
from edgetvm.models.model import (
    Arrays,
    ImportOptions,
    Model,
    Provenance,
    Signature,
    State,
    TensorSpec,
)
from edgetvm.models.torch.export import import_torch

__all__ = [
    "IMPORTERS",
    "Arrays",
    "ImportOptions",
    "Model",
    "Provenance",
    "Signature",
    "State",
    "TensorSpec",
    "import_model",
    "import_torch",
]
