"""Kernels that no rule schedules well, where that costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from edgetvm.base.words import plural, told_nodes
from edgetvm.compile.artifact import Kernel
from edgetvm.compile.options import LEVELS, CompileOptions, Layout

# The rules of kernels that are left as they are, or whose loops only run on all cores.
FALLBACKS = ("none", "parallel loops")
# Of a run's multiply-adds or of the bytes that it moves: what is below is not worth a word.
_HOT_SHARE = 0.03


def is_naive(kernel: Kernel) -> bool:
    """Whether it sums in plain loops. What only moves or maps elements is well served by them."""
    return kernel.schedule == "default" and kernel.rule in FALLBACKS and kernel.reduces


def work_shares(kernels: Sequence[Kernel]) -> list[float]:
    """Of each kernel: its share of a run's multiply-adds, or of the bytes moved if that is more."""
    products = [kernel.multiply_adds * kernel.calls for kernel in kernels]
    moved = [kernel.moved_bytes * kernel.calls for kernel in kernels]
    return [
        max(product / max(sum(products), 1), size / max(sum(moved), 1))
        for product, size in zip(products, moved, strict=True)
    ]


def tuned_summary(kernels: Sequence[Kernel], layout: Layout) -> str:
    """How much is tuned: `12 of 40 kernels are tuned, with 80 % of the multiply-adds`.

    Args:
        kernels: of a compiled model.
        layout: that tuning found for the whole model; `auto` for none.
    """
    products = [kernel.multiply_adds * kernel.calls for kernel in kernels]
    tuned = [kernel.schedule == "tuned" for kernel in kernels]
    if layout != "auto" and not any(tuned):
        return f"the layout {layout} is tuned, and no kernel"
    share = sum(itertools.compress(products, tuned)) / max(sum(products), 1)
    return (
        f"{sum(tuned)} of {len(kernels)} kernels are tuned, with {100 * share:.0f} % of the "
        "multiply-adds" + ("" if layout == "auto" else f"; the layout {layout} is tuned too")
    )


def schedule_warnings(kernels: Sequence[Kernel], options: CompileOptions) -> list[str]:
    """A sentence for each naive kernel that does more than a few percent of the work.

    At a level without the schedule rules all are naive: one sentence says so.

    Args:
        kernels: of a compiled model.
        options: that it was compiled with.
    """
    if options.level.rules != "all":
        return _left_naive(kernels, options)
    return [
        f"{told_nodes(kernel.nodes)}: no schedule rule covers it, so it runs in plain loops "
        f"({kernel.rule!r}), and it does {share:.0%} of the model's work"
        for kernel, share in zip(kernels, work_shares(kernels), strict=True)
        if is_naive(kernel) and share >= _HOT_SHARE
    ]


def _left_naive(kernels: Sequence[Kernel], options: CompileOptions) -> list[str]:
    """The sentence about a level that has no rules."""
    count = sum(map(is_naive, kernels))
    if not count:
        return []
    first = next(level.word for level in LEVELS if level.rules == "all")
    return [
        f"{plural(count, 'kernel')} that sum run in plain loops, because the schedule rules begin "
        f"with -O{first} and this is -O{options.opt_level}"
    ]
