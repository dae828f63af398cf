"""A model at -Os: what its code takes, beside another runtime's kernels for the same model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.footprint.sizes import size_of
from edgetvm.boards.profile import load_profile
from edgetvm.compile import CompileOptions, compile_model
from edgetvm.models import import_model

# TensorFlow Lite Micro for aarch64, stripped: its core with the six kernels of the model.
TFLM_BYTES = 63_000
_PROFILE = "rpi4"


@dataclass(frozen=True)
class SmallModel:
    """A model's code at two levels.

    Attributes:
        small_bytes: of what may be executed at -Os: kernels, and what calls them.
        usual_bytes: the same at the usual level.
    """

    small_bytes: int
    usual_bytes: int


def small_model(file: Path) -> SmallModel:
    """Compile a model for a 64-bit Arm board at -Os and as usual."""
    model, profile = import_model(file), load_profile(_PROFILE)
    small, usual = (
        compile_model(model, profile, options=options).library
        for options in (CompileOptions("s"), CompileOptions())
    )
    return SmallModel(size_of("small", small).code_bytes, size_of("usual", usual).code_bytes)
