"""All that is done to a model at a level, by the titles that logs and errors use."""

from __future__ import annotations

from dataclasses import dataclass

from edgetvm.compile.options import LEVELS, CompileOptions
from edgetvm.compile.passes import (
    KERNEL_PASSES,
    LOWERING_PASSES,
    OPERATOR_PASSES,
    PLACING_PASSES,
    at_level,
)
from edgetvm.compile.schedules import rules_of


@dataclass(frozen=True)
class Titled:
    """A pass or schedule rule.

    Attributes:
        stage: of the compiler.
        title: of the pass or rule.
        level: the first that has it.
    """

    stage: str
    title: str
    level: int


def stages(options: CompileOptions) -> tuple[Titled, ...]:
    """The passes of a level, in order; and its schedule rules, in the order they are asked."""
    graph = at_level((*OPERATOR_PASSES, *KERNEL_PASSES), options)
    placing = at_level(PLACING_PASSES, options)
    lowering = at_level(LOWERING_PASSES, options)
    return (
        *(Titled("optimise the graph", one.title, one.level) for one in graph),
        *(Titled("share memory between tensors", one.title, one.level) for one in placing),
        *(Titled("schedule kernels", title, _first(title)) for title, _ in rules_of(options)),
        *(Titled("generate code", one.title, one.level) for one in lowering),
    )


def _first(rule: str) -> int:
    """The first level that asks a rule."""
    return next(
        level.number
        for level in LEVELS
        if rule in (title for title, _ in rules_of(CompileOptions(level.word)))
    )
