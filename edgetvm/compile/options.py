"""What the user may choose about compiling: how much is optimised, and how tensors lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgetvm.base.errors import UsageError

Layout = Literal["auto", "NHWC", "NCHW", "NCHWc"]
Precision = Literal["fp32", "fp16"]
Functions = Literal["libm", "accurate", "approximate"]
Rules = Literal["none", "loops", "all"]
OptLevel = Literal[0, 1, 2, 3, 4, "s"]


@dataclass(frozen=True)
class Level:
    """What is done at one level.

    Attributes:
        word: as `-O` takes it.
        number: it has all passes that begin with this number or below.
        title: in a word or two.
        meaning: in a sentence.
        rules: for schedules: none, only the one that runs loops on all cores, or all.
        functions: exp, tanh and their kin: the C library's, or ours in one of two grades.
        llvm: attributes of TVM's target, for LLVM.
        winograd: largest edge of the output tiles of 3x3 convolutions; 0 for the direct form only.
        small: whether code is to be small before it is fast.
    """

    word: OptLevel
    number: int
    title: str
    meaning: str
    rules: Rules = "all"
    functions: Functions = "libm"
    winograd: int = 0
    small: bool = False
    llvm: Mapping[str, int | bool | tuple[str, ...]] = field(default_factory=dict)


LEVELS = (
    Level(
        0,
        0,
        "as imported",
        "Every operator by itself, in plain loops on one core. Slow, quick to compile: it tells "
        "whether a wrong answer comes from optimising.",
        rules="none",
        llvm={"opt-level": 1},
    ),
    Level(
        1,
        1,
        "folded and fused",
        "Constants are folded, element-wise operators are fused, loops run on all cores.",
        rules="loops",
    ),
    Level(
        2,
        2,
        "strict",
        "Layouts, packed weights and the schedule rules; Winograd's form only with its smallest "
        "error; functions of the C library.",
        winograd=2,
    ),
    Level(
        3,
        3,
        "fast",
        "Winograd's form wherever it is fastest (errors of about 1e-4 of the largest value), and "
        "functions of our own (3 units in the last place).",
        functions="accurate",
        winograd=4,
    ),
    Level(
        4,
        4,
        "approximate",
        "Constant factors and terms are joined across operators, divisions become products, sums "
        "may be taken in another order, functions are approximate (7e-6).",
        functions="approximate",
        winograd=4,
        llvm={"fast-math-arcp": True, "fast-math-reassoc": True},
    ),
    Level(
        "s",
        3,
        "small",
        "As -O3, but code is small before it is fast: small tiles, loops as they are, one core, "
        "no Winograd.",
        functions="accurate",
        small=True,
        llvm={"opt-level": 2, "cl-opt": ("-unroll-threshold:uint=0", "-vectorize-loops:bool=0")},
    ),
)
DEFAULT_LEVEL: OptLevel = 3
OPT_LEVELS: tuple[OptLevel, ...] = get_args(OptLevel)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class CompileOptions:
    """How a model is compiled.

    Attributes:
        opt_level: the word of one of `LEVELS`.
        layout: in which order the elements of images lie; `auto` chooses for each convolution. It
            counts from level 2 on.
        precision: `fp16` computes convolutions and products of float32 in float16, for boards that
            can.

    Raises:
        UsageError: there is no such level, layout or precision.
    """

    opt_level: OptLevel = DEFAULT_LEVEL
    layout: Layout = "auto"
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.opt_level not in OPT_LEVELS:
            raise UsageError(
                f"there is no optimisation level {self.opt_level!r}",
                mend="use 0 to 4, or 's'",
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
        return next(level for level in LEVELS if level.word == self.opt_level)

    @property
    def dtype(self) -> str:
        """Of convolutions and products of float32."""
        return {"fp32": "float32", "fp16": "float16"}[self.precision]

    def __str__(self) -> str:
        forced = "" if self.layout == "auto" else f", {self.layout}"
        half = "" if self.precision == "fp32" else f", {self.precision}"
        return f"-O{self.opt_level}{forced}{half}"


DEFAULTS = CompileOptions()
