"""`edgetvm tune`: search schedules on boards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from edgetvm.cli.options import (
    Bound,
    Builders,
    Duration,
    compile_options,
    json_option,
    subject_options,
    wait_option,
)

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions
    from edgetvm.tune import Progress
    from edgetvm.tune.building import Builder


class Common(TypedDict):
    """What a search takes with boards and without."""

    builder: Callable[[], Builder] | None
    sources: Sequence[Path]
    told: Callable[[Progress], None]
    resume: bool


@click.command("tune", short_help="Search faster schedules on boards.")
@click.argument("model", metavar="MODEL|RECIPE")
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME|PROFILE",
    help="Board of the inventory, or a selection of boards of one profile; local is this machine.",
)
@wait_option
@subject_options
@compile_options
@click.option("--trials", type=click.IntRange(1), metavar="N", help="Measure so many candidates.")
@click.option(
    "--time",
    "time_s",
    type=Duration(),
    help="Search for so long, as 90s, 30m or 2h; the comparisons before and after come on top.",
)
@click.option(
    "--until-flat", is_flag=True, help="End when no kernel gains any more: without a budget too."
)
@click.option(
    "--boards", type=click.IntRange(1), metavar="K", help="Use so many boards of a profile at most."
)
@click.option(
    "--resume", is_flag=True, help="Go on with an unfinished run of the same budget, or refuse."
)
@click.option(
    "--from",
    "sources",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="DATABASE",
    help="Learn from this tuning database too; repeatable.",
)
@click.option(
    "--builders",
    type=Builders(),
    help="Processes of this machine that build, or a Dask scheduler; one a core without it.",
)
@click.option(
    "--estimate",
    "estimated",
    is_flag=True,
    help="Without a board: rank candidates by estimates for one core of the profile.",
)
@click.option("--cold", is_flag=True, help="Flush the caches before every run of a candidate.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where trials are kept; the user's own database without it.",
)
@click.option(
    "--explain",
    "task",
    metavar="TASK",
    help="Measure nothing: show the schedule that won for this kernel, as TVMScript.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write what it came to as a page.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    model: str,
    device: str,
    wait_s: float,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    trials: int | None,
    time_s: float | None,
    until_flat: bool,
    boards: int | None,
    resume: bool,
    sources: tuple[Path, ...],
    builders: int | str | None,
    estimated: bool,
    cold: bool,
    database: Path | None,
    task: str | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Search faster schedules for a model's kernels, measured on boards over RPC.

    Every trial is kept when it is measured. The same command again goes on where a run was
    stopped, and --tuned of bench, package and compile takes the best so far at any moment.
    """
    from edgetvm.base.files import write_text
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.tune_live import LiveTuning
    from edgetvm.cli.tune_views import (
        explained_document,
        explained_view,
        next_command,
        tuned_document,
        tuned_view,
    )
    from edgetvm.farm import find_boards
    from edgetvm.report import check_page, render_tuning
    from edgetvm.tune import Budget, TuningDatabase, conditions_of, default_database
    from edgetvm.tune.history import history
    from edgetvm.tune.jobs import How
    from edgetvm.workflow import explain, find_profile, find_subject, tune, tune_estimated

    terminal = Terminal(as_json)
    if task is not None:
        with terminal.steps():
            subject = find_subject(model, dict(shapes), dict(bindings))
            explained = explain(subject, find_profile(device), task, database, options)
        terminal.result(explained_document(explained), explained_view(explained))
        return
    if report is not None:
        check_page(report)
    if estimated and (cold or boards is not None or report is not None):
        raise click.UsageError("--estimate asks no board: leave --cold, --boards and --report out")
    live, kept_in = LiveTuning(terminal), database or default_database()
    budget = Budget(trials, time_s, until_flat or (trials is None and time_s is None))
    chosen = [] if estimated else find_boards(device, boards)
    go_on = next_command(model, device if estimated else chosen[0].name, database, estimated)
    try:
        with terminal.steps():
            subject = find_subject(model, dict(shapes), dict(bindings))
            common: Common = {
                "builder": _builder(builders), "sources": sources, "told": live, "resume": resume
            }  # fmt: skip
            if estimated:
                profile = find_profile(device)
                outcome = tune_estimated(subject, profile, budget, database, options, **common)
            else:
                how = How(cold=cold)
                outcome = tune(
                    subject, chosen, budget, database, options, how=how, wait_s=wait_s, **common
                )
    except KeyboardInterrupt:
        terminal.say(live.stopped(kept_in, go_on))
        context.exit(130)
    terminal.result(tuned_document(outcome, kept_in), tuned_view(outcome, kept_in, go_on))
    if report is not None:
        conditions = conditions_of(find_profile(chosen[0].name), options)
        with TuningDatabase(kept_in, must_exist=True) as opened:
            tuned = outcome.tuned
            told = history(
                opened, conditions, tuned.kernels, Path(model).stem, tuned.progress.roofline
            )
        write_text(report, render_tuning([told] if told is not None else []))
        terminal.say(f"report: {report.resolve()}")


def _builder(named: int | str | None) -> Callable[[], Builder] | None:
    from edgetvm.tune.building import DaskBuilder, LocalBuilder

    if named is None:
        return None
    return lambda: LocalBuilder(named) if isinstance(named, int) else DaskBuilder(named)
