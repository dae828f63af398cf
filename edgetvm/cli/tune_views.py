"""What `edgetvm tune` prints at its end, and for `--explain`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgetvm.base.units import format_duration, format_ms
from edgetvm.base.words import plural, printable
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from edgetvm.boards.roofline import Roofline
    from edgetvm.tune import Tuned, TunedKernel
    from edgetvm.tune.explaining import Explained
    from edgetvm.tune.progress import TaskProgress
    from edgetvm.workflow.tuned_models import Outcome


# The kernels' sum by the whole model's time.
_FAR_APART = 1.2


def tuned_document(outcome: Outcome, database: Path) -> dict[str, Any]:
    """`edgetvm tune --json`: times in milliseconds, of one call for kernels."""
    tuned = outcome.tuned
    return {
        "trials": tuned.trials,
        "outcomes": dict(tuned.progress.outcomes),
        "elapsed_s": tuned.progress.elapsed_s,
        "trials_per_s": tuned.progress.trials_per_s,
        "estimated": outcome.estimated,
        "default_ms": outcome.default_ms,
        "tuned_ms": outcome.tuned_ms,
        "looked_faster": dict(tuned.fates),
        "kernels_default_ms": tuned.default_ms,
        "kernels_tuned_ms": tuned.best_ms,
        "roofline": asdict(tuned.progress.roofline),
        "database": str(database),
        "kernels": [
            {
                **asdict(one),
                "share": _share(one, tuned),
                "gain": one.gain,
                "gflops": one.gflops,
                "of_bound": one.of_bound,
            }
            for one in _by_share(tuned)
        ],
    }


def tuned_view(outcome: Outcome, database: Path, go_on: str) -> RenderableType:
    """`edgetvm tune`."""
    tuned = outcome.tuned
    # Two figures in a column: all of them, and the names, fit into 80 columns.
    numbers = ("share\ncalls", "default\ntuned", "gain\ntrials", "GFLOP/s\nroofline")
    table = new_table("kernel", *numbers, right=numbers, folded=("kernel",))
    for one in _by_share(tuned):
        default = format_ms(one.default_ms) if one.default_ms else "not tried"
        best = format_ms(one.best_ms) if one.gain > 1 else "as default" if one.default_ms else ""
        gain = f"{one.gain:.2f}" if one.gain > 1 else ""
        gflops = f"{one.gflops:.1f}" if one.gflops else ""
        table.add_row(
            Text(printable(one.name)),
            f"{_share(one, tuned):.1%}\n{one.calls}",
            f"{default}\n{best}",
            f"{gain}\n{one.trials}",
            f"{gflops}\n{near_roofline(one)}",
        )
    progress = tuned.progress
    facts = {
        **_estimated(outcome),
        "kernels": _taken(tuned.default_ms, tuned.best_ms) + _left_out(tuned),
        "whole model": _taken(outcome.default_ms, outcome.tuned_ms),
        **_apart(outcome),
        "looked faster": _fates(tuned),
        **_roofline(progress.roofline),
        "trials": f"{tuned.trials} in {format_duration(progress.elapsed_s)}, "
        f"{progress.trials_per_s:.1f} a second",
        "kept in": database,
    }
    if outcome.has_gained:
        facts["with a board" if outcome.estimated else "next"] = go_on
    return Group(table, "", fact_table(facts))


def near_roofline(kernel: TunedKernel | TaskProgress) -> str:
    """`43% cores`: how near it comes to its bound, and what that is; empty where none is known."""
    share = kernel.of_bound
    return "" if share is None or kernel.bound is None else f"{share:.0%} {kernel.bound.by}"


def _roofline(roofline: Roofline) -> dict[str, str]:
    told = f"{roofline.gflops:.0f} GFLOP/s in float32 by the profile"
    if roofline.memory_gbs:
        source = "measured" if roofline.is_measured else "by the profile"
        told += f"; {roofline.memory_gbs:.1f} GB/s from memory, {source}"
    return {"roofline": told}


def _estimated(outcome: Outcome) -> dict[str, str]:
    if not outcome.estimated:
        return {}
    return {"estimated": "all times are estimates for one core; nothing was measured"}


def _taken(default_ms: float, tuned_ms: float) -> str:
    if tuned_ms < default_ms:
        return lowered(default_ms, tuned_ms)
    return f"{format_ms(default_ms)}, with the default schedules: nothing is faster"


def _left_out(tuned: Tuned) -> str:
    """How many kernels the budget did not reach."""
    unknown = sum(not one.default_ms for one in tuned.kernels)
    return f"; {plural(unknown, 'smaller kernel')} not measured" if unknown else ""


def _apart(outcome: Outcome) -> dict[str, str]:
    """Why the kernels' sum is not the model's time, where they are far apart."""
    if outcome.tuned.default_ms < _FAR_APART * outcome.default_ms:
        return {}
    return {
        "": "kernels are timed by themselves, as the mean of many runs in a row, with all that "
        "disturbs the board; the whole model as the median of single runs, which leaves that out"
    }


def _fates(tuned: Tuned) -> str:
    """`9 candidates: 1 taken; 8 slower than the default in turns with it`."""
    if not tuned.fates:
        return "no candidate that was not judged before"
    fates = sorted(tuned.fates.items(), key=lambda one: (one[0] != "taken", -one[1]))
    told = "; ".join(f"{count} {fate}" for fate, count in fates)
    return f"{plural(sum(tuned.fates.values()), 'candidate')}: {told}"


def _by_share(tuned: Tuned) -> list[TunedKernel]:
    return sorted(tuned.kernels, key=lambda one: -one.calls * one.default_ms)


def _share(kernel: TunedKernel, tuned: Tuned) -> float:
    return kernel.calls * kernel.default_ms / tuned.default_ms if tuned.default_ms else 0.0


def lowered(default_ms: float, tuned_ms: float, of: str = "") -> str:
    """`12.3 ms -> 10.1 ms (1.22 times as fast)`, with what else belongs into the brackets."""
    gain = default_ms / tuned_ms if tuned_ms else 1.0
    return f"{format_ms(default_ms)} -> {format_ms(tuned_ms)} ({gain:.2f} times as fast{of})"


def next_command(model: str, device: str, database: Path | None, estimated: bool = False) -> str:
    """How to bench what was found; what was estimated is measured first."""
    words = ["edgetvm", "tune" if estimated else "bench", model]
    words += ["--device", device] if device != "local" else []
    words += ["--database", str(database)] if database is not None else []
    words += ["--tuned"] if database is None and not estimated else []
    return shlex.join(words)


def explained_document(explained: Explained) -> dict[str, Any]:
    """`edgetvm tune --explain --json`."""
    return asdict(explained)


def explained_view(explained: Explained) -> RenderableType:
    """`edgetvm tune --explain`."""
    table = new_table("decision", "taken", "default", "candidates")
    for one in explained.decisions:
        add_row(table, one.name, one.taken, one.default, ", ".join(one.candidates))
    facts = {
        "kernel": explained.name,
        "computes": explained.description,
        "schedule": explained.origin,
        "rule": explained.rule,
    }
    code = "\n".join(printable_line(line) for line in explained.script.splitlines())
    return Group(fact_table(facts), "", table, "", Text(code, no_wrap=True, overflow="ignore"))


def printable_line(line: str) -> str:
    """A line of code without what a terminal would obey; its indent stays."""
    indent = len(line) - len(line.lstrip(" "))
    return line[:indent] + printable(line)
