"""`edgetvm report`: what was measured, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import json_option, store_option

if TYPE_CHECKING:
    from edgetvm.measure import Measurement, Store
    from edgetvm.report import Background


@click.command("report", short_help="Show measurements side by side.")
@click.argument("names", nargs=-1, metavar="[ID|FILE.json...]")
@click.option("--model", metavar="NAME", help="Only of this model.")
@click.option("--device", metavar="NAME", help="Only on this board.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N measurements.")
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Write it: .html, .md, .csv, .json, or .gbench.json for tools that read "
    "google-benchmark's; repeatable.",
)
@store_option("Where measurements are kept; the user's own file without it.")
@json_option
def command(
    names: tuple[str, ...],
    model: str | None,
    device: str | None,
    last: int | None,
    outputs: tuple[Path, ...],
    url: str | None,
    as_json: bool,
) -> None:
    """Show measurements: those named, or the newest of each model and device, tuned and untuned.

    Reports are made anew from the raw samples each time, those of the store or of a report that was
    written as JSON, whichever version of edgetvm wrote it.

    \b
    edgetvm report --device my-rpi4 -o rpi4.html
    edgetvm report last-year.json -o last-year.html
    edgetvm report --model vision/ppocr-det --last 10 -o trend.gbench.json
    """
    from edgetvm.base.errors import UsageError
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store
    from edgetvm.report import (
        check_format,
        json_pieces,
        part_lines,
        report_tables,
        warning_lines,
        write_report,
    )

    for output in outputs:
        check_format(output)
    terminal = Terminal(as_json)
    with terminal.steps():
        measurements, background = _chosen(names, last, model, device, Store(url))
    if not measurements and (model or device):
        raise UsageError("nothing of that is kept here", mend="see all: edgetvm results list")
    for output in outputs:
        write_report(measurements, output, background=background)
    from rich.console import Group

    tables = Group(*report_tables(measurements, background))
    terminal.result(json_pieces(measurements, background), tables)
    for line in (*warning_lines(measurements), *part_lines(measurements, background)):
        terminal.say(line)
    for output in outputs:
        terminal.say(f"report: {output.resolve()}")


def _chosen(
    names: tuple[str, ...], last: int | None, model: str | None, device: str | None, store: Store
) -> tuple[list[Measurement], Background]:
    """The measurements, and what is known beside them: of report files what stands in them."""
    from edgetvm.base.errors import UsageError
    from edgetvm.report import merged, read_report
    from edgetvm.workflow.reporting import background_of, latest_plain

    for name in names:
        if not name.endswith(".json") and Path(name).is_file():
            raise UsageError(
                "only JSON reports hold the raw data and can be opened again",
                where=name,
                mend="name a .json file, or ids of measurements: edgetvm results list",
            )
    files = [read_report(Path(name)) for name in names if name.endswith(".json")]
    ids = [name for name in names if not name.endswith(".json")]
    stored = [store.load(one) for one in ids] if names else latest_plain(store, last, model, device)
    measurements = [*(one for read, _ in files for one in read), *stored]
    kept = [
        one
        for one in measurements
        if model in (None, one.model) and device in (None, one.environment.device)
    ]
    return kept, merged([*(beside for _, beside in files), background_of(stored, store)])
