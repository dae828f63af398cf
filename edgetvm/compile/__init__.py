"""From an imported model to a library for one target."""

from edgetvm.compile.artifact import Artifact, Kernel, MemoryUse
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.options import LEVELS, CompileOptions
from edgetvm.compile.passes import PASSES
from edgetvm.compile.target import target_for

__all__ = [
    "LEVELS",
    "PASSES",
    "Artifact",
    "CompileOptions",
    "Kernel",
    "MemoryUse",
    "compile_model",
    "target_for",
]
