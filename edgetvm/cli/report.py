"""`edgetvm report`: what was measured, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from edgetvm.cli.options import json_option


@click.command("report", short_help="Show measurements side by side.")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N measurements.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it: .html, .md, .csv or .json.",
)
@json_option
def command(ids: tuple[str, ...], last: int | None, output: Path | None, as_json: bool) -> None:
    """Show measurements: those named, or the newest of each model and device, tuned and untuned."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import latest, load
    from edgetvm.report import json_pieces, summary_table, warning_lines, write_report

    terminal = Terminal(as_json)
    measurements = [load(name) for name in ids] if ids else latest(last)
    if output is not None:
        write_report(measurements, output)
    terminal.result(json_pieces(measurements), summary_table(measurements))
    for line in warning_lines(measurements):
        terminal.say(line)
    if output is not None:
        terminal.say(f"report: {output.resolve()}")
