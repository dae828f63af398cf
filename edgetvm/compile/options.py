"""What the user may choose about compiling: how much is optimised, and how tensors lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import Field

from edgetvm.base.errors import UsageError

Layout = Literal["auto", "NHWC", "NCHW"]
Precision = Literal["fp32", "fp16"]
Functions = Literal["libm", "accurate", "approximate"]
Rules = Literal["none", "loops", "all"]


@dataclass(frozen=True)
class Level:
    """What is done at one level, beside all that is done below it.

    Attributes:
        number: as `-O` takes it.
        title: in a word or two.
        meaning: in a sentence.
        rules: for schedules: none, only the one that runs loops on all cores, or all.
        functions: exp, tanh and their kin: the C library's, or ours in one of two grades.
        llvm: attributes of TVM's target, for LLVM.
        winograd: largest edge of the output tiles of 3x3 convolutions; 0 for the direct form only.
    """

    number: int
    title: str
    meaning: str
    rules: Rules = "all"
    functions: Functions = "libm"
    winograd: int = 0
    llvm: Mapping[str, int | bool] = field(default_factory=dict)


LEVELS = (
    Level(
        0,
        "as imported",
        "Every operator by itself, in plain loops on one core. Slow, quick to compile: it tells "
        "whether a wrong answer comes from optimising.",
        rules="none",
        llvm={"opt-level": 1},
    ),
    Level(
        1,
        "folded and fused",
        "Constants are folded, element-wise operators are fused, loops run on all cores.",
        rules="loops",
    ),
    Level(
        2,
        "strict",
        "Layouts, packed weights and the schedule rules; Winograd's form only with its smallest "
        "error; functions of the C library.",
        winograd=2,
    ),
    Level(
        3,
        "fast",
        "Winograd's form wherever it is fastest (errors of about 1e-4 of the largest value), and "
        "functions of our own (3 units in the last place).",
        functions="accurate",
        winograd=4,
    ),
    Level(
        4,
        "approximate",
        "Constant factors and terms are joined across operators, divisions become products, sums "
        "may be taken in another order, functions are approximate (7e-6).",
        functions="approximate",
        winograd=4,
        llvm={"fast-math-arcp": True, "fast-math-reassoc": True},
    ),
)
DEFAULT_LEVEL = 3
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class CompileOptions:
    """How a model is compiled.

    Attributes:
        opt_level: a number of `LEVELS`.
        layout: in which order the elements of images lie; `auto` chooses for each convolution. It
            counts from level 2 on.
        precision: `fp16` computes convolutions and products of float32 in float16, for boards that
            can.

    Raises:
        UsageError: there is no such level, layout or precision.
    """

    opt_level: Annotated[int, Field(ge=0, lt=len(LEVELS))] = DEFAULT_LEVEL
    layout: Layout = "auto"
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.opt_level not in range(len(LEVELS)):
            raise UsageError(
                f"there is no optimisation level {self.opt_level!r}",
                mend=f"use 0 to {len(LEVELS) - 1}",
            )
        if self.layout not in LAYOUTS:
            raise UsageError(
                f"there is no layout {self.layout!r}", mend=f"use one of {', '.join(LAYOUTS)}"
            )
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"there is no precision {self.precision!r}",
                mend=f"use one of {', '.join(PRECISIONS)}",
            )

    @property
    def level(self) -> Level:
        """What the level means."""
        return LEVELS[self.opt_level]

    @property
    def dtype(self) -> str:
        """Of convolutions and products of float32."""
        return {"fp32": "float32", "fp16": "float16"}[self.precision]

    def __str__(self) -> str:
        forced = "" if self.layout == "auto" else f", {self.layout}"
        half = "" if self.precision == "fp32" else f", {self.precision}"
        return f"-O{self.opt_level}{forced}{half}"


DEFAULTS = CompileOptions()
