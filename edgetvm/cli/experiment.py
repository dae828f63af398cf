"""`edgetvm experiment`: variants of models, built and measured in turns."""

from __future__ import annotations

from pathlib import Path

import click

from edgetvm.cli.options import json_option, store_option, wait_option

_EPILOG = """
\b
Exit codes here: 0 done, 1 no variant meets the goals; others as usual.
A variant that fails says why in its row.
"""


@click.command(
    "experiment", short_help="Cross variants of models, and measure all in turns.", epilog=_EPILOG
)
@click.argument("name", metavar="FILE.yaml|NAME")
@click.option("--dry-run", is_flag=True, help="List the variants and what is missing of each.")
@click.option(
    "--stored", is_flag=True, help="Build and measure nothing: tell what is stored of it."
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a report too: .html, .md, .csv or .json.",
)
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tuning database of tuned variants; the user's own without it.",
)
@wait_option
@store_option("Where results are kept; the user's own file without it.")
@json_option
def command(
    name: str,
    dry_run: bool,
    stored: bool,
    report_path: Path | None,
    database: Path | None,
    wait_s: float,
    url: str | None,
    as_json: bool,
) -> None:
    """Build and measure what is missing of an experiment, and tell all of it.

    Its file says which models, targets, layouts, levels and threads are crossed, and what is
    wanted. Variants have their turns in rounds, each in a fresh process. What was measured is kept:
    stopped and started again, it goes on where it was.

    \b
    edgetvm experiment compiler-lab --report lab.html   one that edgetvm ships
    edgetvm experiment mine.yaml --dry-run              what would be done
    edgetvm experiment mine --stored --report mine.md   again, from what is stored
    """
    from edgetvm.cli.experiment_views import planned_document, planned_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store
    from edgetvm.measure.experiment.file import load_experiment
    from edgetvm.measure.experiment.goals import are_missed
    from edgetvm.report.experiment import (
        check_experiment_format,
        experiment_document,
        experiment_lines,
        experiment_tables,
        write_experiment,
    )
    from edgetvm.workflow.experimenting import plan_experiment, run_experiment, stored_experiment

    terminal = Terminal(as_json)
    if report_path is not None:
        check_experiment_format(report_path)
    store = Store(url)
    if dry_run:
        planned = plan_experiment(load_experiment(name), store, database)
        terminal.result(planned_document(planned), planned_view(planned))
        return
    if stored:
        results = stored_experiment(Path(name).name.removesuffix(".yaml"), store)
    else:
        experiment = load_experiment(name)
        with terminal.steps():
            results = run_experiment(experiment, store, database=database, wait_s=wait_s)
    if report_path is not None:
        write_experiment(results, report_path)
    terminal.result(experiment_document(results) if as_json else None, experiment_tables(results))
    for line in experiment_lines(results):
        terminal.say(line)
    if report_path is not None:
        terminal.say(f"report: {report_path.resolve()}")
    click.get_current_context().exit(int(are_missed(results)))
