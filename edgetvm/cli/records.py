"""`edgetvm records`: what tuning has measured or estimated, and MetaSchedule's JSON records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetvm.cli.options import compile_options, json_option

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

    from edgetvm.compile import CompileOptions
    from edgetvm.tune.summary import TaskSummary

# Damaged lines that are told one by one.
_TOLD = 10


def _database_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--database",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Where trials are kept; the user's own database without it.",
    )(command)


def _profile_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--device", metavar="NAME|PROFILE", help="Only trials of this profile.")(
        command
    )


@click.group("records", short_help="Trials of tuning; MetaSchedule's records.")
def command() -> None:
    """What tuning has measured or estimated, and MetaSchedule's JSON records."""


@command.command("list")
@_database_option
@_profile_option
@json_option
def list_command(database: Path | None, device: str | None, as_json: bool) -> None:
    """Each tuned kernel: trials, latencies, gain; estimates apart."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.tune import TuningDatabase, default_database
    from edgetvm.tune.summary import summaries

    path = database or default_database()
    with TuningDatabase(path, must_exist=True) as opened:
        found = summaries(opened, _profile(device))
    document = [{**asdict(one), "gain": one.gain} for one in found]
    Terminal(as_json).result(document, _view(found))


@command.command("export", short_help="Write trials to FOLDER, as MetaSchedule's JSON records.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_database_option
@_profile_option
@json_option
def export_command(folder: Path, database: Path | None, device: str | None, as_json: bool) -> None:
    """Write measured trials that a trace can tell to FOLDER, as MetaSchedule's JSON records."""
    from edgetvm.base.words import plural
    from edgetvm.cli.terminal import Terminal
    from edgetvm.tune import TuningDatabase, default_database
    from edgetvm.tune.metaschedule import export_records

    terminal = Terminal(as_json)
    kept_in = database or default_database()
    with terminal.steps(), TuningDatabase(kept_in, must_exist=True) as opened:
        written = export_records(opened, folder, _profile(device))
    terminal.result(
        asdict(written),
        f"{plural(written.records, 'record')} of {plural(written.workloads, 'kernel')} in {folder}",
    )
    if written.estimated:
        terminal.say(f"left out: {plural(written.estimated, 'estimated trial')}: not measured")
    for rule, count in written.left_out.items():
        terminal.say(
            f"left out: {plural(count, 'trial')} of {rule!r}, which rewrites kernels beside "
            "scheduling them: no trace tells that"
        )


@command.command("import", short_help="Read MetaSchedule's JSON records of FOLDER.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--device", required=True, metavar="NAME|PROFILE", help="Profile that they were measured on."
)
@_database_option
@compile_options
@json_option
def import_command(
    folder: Path, device: str, database: Path | None, options: CompileOptions, as_json: bool
) -> None:
    """Read MetaSchedule's JSON records of FOLDER; tuning then tries the best of them first."""
    from edgetvm.base.words import plural
    from edgetvm.cli.terminal import Terminal
    from edgetvm.tune import TuningDatabase, default_database
    from edgetvm.tune.metaschedule import import_records
    from edgetvm.workflow import find_profile

    terminal, profile = Terminal(as_json), find_profile(device)
    with TuningDatabase(database or default_database()) as opened:
        read = import_records(opened, folder, profile, options)
    told = f"{plural(read.added, 'new trial')}, {read.known} known before"
    terminal.result(asdict(read), f"{told}, {plural(len(read.damaged), 'line')} left out")
    for one in read.damaged[:_TOLD]:
        terminal.say(f"left out: {one.file}, line {one.line}: {one.what}")
    if len(read.damaged) > _TOLD:
        terminal.say(f"left out: {len(read.damaged) - _TOLD} lines more; all with --json")


@command.command("report", short_help="Write a page of all that was tuned.")
@click.argument("page", metavar="FILE.html", type=click.Path(dir_okay=False, path_type=Path))
@_database_option
@_profile_option
@json_option
def report_command(page: Path, database: Path | None, device: str | None, as_json: bool) -> None:
    """Write a page of all that was tuned: curves, kernels, outcomes, boards."""
    from edgetvm.base.files import write_text
    from edgetvm.cli.terminal import Terminal
    from edgetvm.report import check_page, render_tuning
    from edgetvm.tune import TuningDatabase, default_database
    from edgetvm.tune.history import history

    check_page(page)
    with TuningDatabase(database or default_database(), must_exist=True) as opened:
        told = [history(opened, one) for one in opened.conditions(_profile(device))]
    write_text(page, render_tuning([one for one in told if one is not None]))
    Terminal(as_json).result({"report": str(page.resolve())}, f"report: {page.resolve()}")


def _profile(device: str | None) -> str | None:
    from edgetvm.workflow import find_profile

    return None if device is None else find_profile(device).name


def _view(found: list[TaskSummary]) -> Group:
    """What boards measured, and apart from it what was estimated."""
    from rich.console import Group

    measured = [one for one in found if not one.conditions.estimated]
    estimated = [one for one in found if one.conditions.estimated]
    parts: list[RenderableType] = [_table(measured)] if measured or not estimated else []
    if estimated:
        parts += [*([""] if measured else []), "Estimated; no board has measured these:", ""]
        parts.append(_table(estimated))
    return Group(*parts)


def _table(found: list[TaskSummary]) -> Table:
    from rich.text import Text

    from edgetvm.base.units import format_ms
    from edgetvm.base.words import printable
    from edgetvm.cli.tables import new_table

    # Two figures in a column: all of them fit into 80 columns, with room for the task.
    numbers = ("level\ncores", "trials\nfailed", "default\nbest", "gain")
    table = new_table("task", "profile\nrule", *numbers, right=numbers, folded=("task",))
    for one in found:
        times = ("" if ms is None else format_ms(ms) for ms in (one.default_ms, one.best_ms))
        table.add_row(
            Text(printable(f"{one.task[:8]} {one.description}"[:60])),
            Text(f"{printable(one.conditions.profile)}\n{printable(one.rule)}"),
            f"{one.conditions.level}\n{one.conditions.cores}",
            f"{one.trials}\n{one.failed}",
            "\n".join(times),
            f"{one.gain:.2f}" if one.best_ms is not None else "",
        )
    return table
