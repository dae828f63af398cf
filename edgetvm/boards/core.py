"""How a core runs code and waits for memory, as far as estimates need it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")
Cycles = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class MissCost:
    """Cycles that a core stands still when a level of caches does not have a line."""

    random: Annotated[Cycles, Field(description="For a line that nothing announced.")]
    foreseen: Annotated[
        Cycles, Field(description="For the next line of a stream, which a prefetcher asks for.")
    ]


@dataclass(frozen=True, config=_STRICT)
class CoreModel:
    """How `edgetvm estimate` prices code for a core."""

    emulated: Annotated[str, Field(description="QEMU's name of the core.")]
    l1d_ways: Annotated[int, Field(gt=0, le=32, description="Ways of the level 1 data cache.")]
    l2_ways: Annotated[int, Field(gt=0, le=32, description="Ways of the level 2 cache.")]
    misses: Annotated[
        tuple[MissCost, ...],
        Field(description="Of each level that has the line instead: level 2 first, memory last."),
    ]
    error: Annotated[
        float, Field(ge=1, description="Factor by which estimates are wrong, as far as is known.")
    ]
    llvm: Annotated[
        str, Field(description="LLVM's name of the core whose tables llvm-mca is to use.")
    ] = ""
    out_of_order: Annotated[
        bool, Field(description="Whether it goes on computing while lines of a stream come.")
    ] = True
    dispatch: Annotated[
        int, Field(ge=0, description="Instructions dispatched in a cycle, where LLVM is wrong.")
    ] = 0
    table: Annotated[
        str, Field(description="A core of edgetvm's own tables, where LLVM has no usable one.")
    ] = ""
    cycles_per_instruction: Annotated[
        Cycles, Field(description="Where there are no tables at all.")
    ] = 0.0
    l3_ways: Annotated[int, Field(gt=0, le=32, description="Ways of the level 3 cache.")] = 16
    source: Annotated[str, Field(description="Where the figures come from.")] = ""
