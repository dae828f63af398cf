"""`edgetvm pipelines`: models of several recipes that work together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import (
    NewFile,
    compile_options,
    json_option,
    mismatch_option,
    threads_option,
)

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.group("pipelines", short_help="Pipelines: several models together on one sample.")
def command() -> None:
    """Pipelines: several models that work together on one picture or recording."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """All pipelines."""
    from edgetvm.cli.tables import add_row, new_table
    from edgetvm.cli.terminal import Terminal
    from edgetvm.recipes import list_pipelines

    found = list_pipelines()
    documents = [
        {"name": one.name, "task": one.task, "description": one.description, "stages": one.stages}
        for one in found
    ]
    table = new_table("Pipeline", "Task", "Stages", "Description")
    for one in found:
        add_row(table, one.name, one.task, ", ".join(one.stages), one.description)
    Terminal(as_json).result(documents, table)


@command.command("run", short_help="Run a pipeline on a board, and score what comes out.")
@click.argument("name", metavar="PIPELINE")
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board of the inventory to run on; local is this machine.",
)
@click.option(
    "-o", "--output", type=NewFile(), metavar="FILE.html", help="Write all of it as one page."
)
@click.option(
    "--picture",
    type=NewFile(),
    metavar="FILE.png",
    help="Write the first picture with what was found in it.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Pictures or recordings in place of the pipeline's own.",
)
@threads_option
@compile_options
@mismatch_option
@json_option
def run_command(
    name: str,
    device: str,
    output: Path | None,
    picture: Path | None,
    data: Path | None,
    threads: int | None,
    options: CompileOptions,
    allow_mismatch: bool,
    as_json: bool,
) -> None:
    """Run a pipeline's data through its models on a board, and score what comes out."""
    from rich.console import Group

    from edgetvm.base.errors import UsageError
    from edgetvm.base.files import write_bytes, write_text
    from edgetvm.base.units import format_ms
    from edgetvm.cli.tables import add_row, fact_table, new_table
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.recipes import load_pipeline, with_folder
    from edgetvm.report import (
        check_page,
        pictures,
        pipeline_document,
        pipeline_facts,
        render_pipeline,
    )
    from edgetvm.workflow import work_through

    if output is not None:
        check_page(output)
    terminal = Terminal(as_json)
    with terminal.steps():
        pipeline = load_pipeline(name)
        pipeline = pipeline if data is None else with_folder(pipeline, data)
        run = work_through(pipeline, find_board(device), threads, options, allow_mismatch)
    table = new_table("Stage", "Model", "Runs", "Median", "Together", right=("Runs", "Median"))
    for stage, one in run.stages.items():
        times = format_ms(one.median_ms), format_ms(1e3 * one.total_s)
        add_row(table, stage, one.model, str(len(one.runs_ns)), *times)
    terminal.result(pipeline_document(run), Group(table, fact_table(pipeline_facts(run))))
    if output is not None:
        write_text(output, render_pipeline(run))
        terminal.say(f"page: {output.resolve()}")
    if picture is not None:
        drawings = pictures(run)
        if not drawings:
            raise UsageError("there is nothing to draw", where=name, mend="leave --picture out")
        write_bytes(picture, drawings[0])
        terminal.say(f"picture: {picture.resolve()}")
