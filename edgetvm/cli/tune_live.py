"""A search while it goes on: a table on a terminal, a sentence now and then elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from edgetvm.base.steps import warn
from edgetvm.base.units import format_duration, format_ms
from edgetvm.base.words import plural, printable
from edgetvm.cli.tables import add_row, new_table
from edgetvm.cli.tune_views import lowered, near_roofline

if TYPE_CHECKING:
    from edgetvm.cli.terminal import Terminal
    from edgetvm.tune import Progress
    from edgetvm.tune.progress import TaskProgress

_STEADY = "performance"
# Lines of the terminal that are not rows of the table: steps before and after, head, summary.
_OTHER_LINES = 12
_FEWEST_ROWS = 3
_NAME_WIDTH = 40


class LiveTuning:
    """Listens to a search; call it with each progress."""

    def __init__(self, terminal: Terminal) -> None:
        """Show on this terminal."""
        self._terminal = terminal
        self._last: Progress | None = None
        self._warned: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        self._last = progress
        for sentence in complaints(progress.environments, progress.cores):
            if sentence not in self._warned:
                self._warned.add(sentence)
                warn(sentence)
        self._terminal.show(ProgressTable(progress), sentence_of(progress))

    def stopped(self, database: Path, go_on: str) -> str:
        """What to say when the user has stopped it."""
        last = self._last
        kept = "nothing was measured yet"
        if last is not None and last.trials:
            kept = (
                f"{plural(last.trials, 'trial')} of this run are kept in {database} "
                f"({model_latency(last)}); see what is gained so far: {go_on}"
            )
        return f"stopped by Ctrl-C; the same command again goes on from here: {kept}"


def complaints(environments: Mapping[str, Mapping[str, object]], cores: int) -> list[str]:
    """What makes a board's times doubtful, by what it says of itself.

    Args:
        environments: of the boards, by name.
        cores: that trials are kept for.
    """
    found = []
    for name, told in environments.items():
        board = name.partition("#")[0]
        governor = told.get("governor")
        if governor not in (None, _STEADY):
            found.append(
                f"{board}: its clock governor is {governor!r}, so times vary; set it to {_STEADY!r}"
            )
        if told.get("throttled"):
            found.append(f"{board}: it is too hot or lacks power, and throttles its clock: cool it")
        if told.get("slowed"):
            found.append(
                f"{board}: default schedules take longer than they did: it throttles its clock, or "
                "something else runs there"
            )
        if told.get("cores", cores) != cores:
            found.append(
                f"{board}: its server may use {told['cores']} cores, and its profile has {cores}: "
                "start the server on all of them, or tune with a profile of its own"
            )
    return list(dict.fromkeys(found))


def model_latency(progress: Progress) -> str:
    """`kernels 12.3 ms -> 10.1 ms (1.22 times as fast)`."""
    if not progress.default_ms:
        return f"no kernel is {_known(progress)} yet"
    known = sum(one.default_ms > 0 for one in progress.tasks)
    of = (
        ""
        if known == len(progress.tasks)
        else f", {known} of {len(progress.tasks)} {_known(progress)}"
    )
    if progress.best_ms < progress.default_ms:
        of += ", to be compared at the end"
    return f"kernels {lowered(progress.default_ms, progress.best_ms, of)}"


def _known(progress: Progress) -> str:
    return "estimated" if progress.estimated else "measured"


def sentence_of(progress: Progress) -> str:
    """All of it but the tasks, on one line."""
    outcomes = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(progress.outcomes.items()) if count
    )
    left = "" if progress.left_s is None else f"; {format_duration(progress.left_s)} of search left"
    return (
        f"{plural(progress.trials, 'trial')}, {progress.trials_per_s:.1f} a second"
        f"{f' ({outcomes})' if outcomes else ''}; {_boards(progress)}; "
        f"{model_latency(progress)}{left}"
    )


def _boards(progress: Progress) -> str:
    counts = Counter(progress.boards.values())
    told = [f"{counts[state]} {state}" for state in ("busy", "idle", "lost") if counts[state]]
    who = "estimators" if progress.estimated else "boards"
    return f"{who}: {', '.join(told) or 'none yet'}"


@dataclass(frozen=True)
class ProgressTable:
    """A progress as rich renders it: as many tasks as the terminal has room for."""

    progress: Progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table and the line below it."""
        tasks = self.progress.tasks
        room = max(_FEWEST_ROWS, console.height - _OTHER_LINES)
        table = new_table(
            *("kernel", "share", "trials", "best", "gain", "GFLOP/s", "roofline"),
            right=("share", "trials", "best", "gain", "GFLOP/s", "roofline"),
        )
        for task in tasks[:room]:
            add_row(table, *_row(task))
        yield table
        if len(tasks) > room:
            yield Text(f"… {plural(len(tasks) - room, 'smaller kernel')}", style="dim")
        yield Text(printable(sentence_of(self.progress)), style="bold")


def _row(task: TaskProgress) -> tuple[str, ...]:
    name = task.name if len(task.name) <= _NAME_WIDTH else f"{task.name[: _NAME_WIDTH - 1]}…"
    if not task.best_ms:
        return name, "", str(task.trials), "", "", "", ""
    return (
        name,
        f"{task.share:.1%}",
        str(task.trials),
        format_ms(task.best_ms),
        f"{task.gain:.2f}",
        f"{task.gflops:.1f}" if task.gflops else "",
        near_roofline(task),
    )
