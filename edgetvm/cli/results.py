"""`edgetvm results`: what was measured, kept raw."""

from __future__ import annotations

from pathlib import Path

import click

from edgetvm.cli.options import json_option, store_option

_store_option = store_option(
    "sqlite:////FILE or postgresql://HOST/NAME; the user's own file without it."
)


@click.group("results", short_help="Measurements that are kept, raw.")
def command() -> None:
    """Measurements that are kept: every sample, and all that it was taken in."""


@command.command("list")
@click.option("--model", metavar="NAME", help="Only of this model.")
@click.option("--device", metavar="NAME", help="Only on this device.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N.")
@_store_option
@json_option
def list_command(
    model: str | None, device: str | None, last: int | None, url: str | None, as_json: bool
) -> None:
    """The history: each measurement with its figures, oldest first."""
    from edgetvm.cli.results_views import listed, results_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store
    from edgetvm.measure.experiment.membership import parts_of

    store = Store(url)
    parts = parts_of(store)
    ids = store.ids(model, device)[-(last or 0) :]
    rows = [listed(store.load(one), parts.get(one)) for one in ids]
    Terminal(as_json).result(rows, results_view(rows, are_chosen=bool(model or device)))


@command.command("show", short_help="One measurement: figures, windows, and what it was taken in.")
@click.argument("measurement_id", metavar="ID")
@_store_option
@json_option
def show_command(measurement_id: str, url: str | None, as_json: bool) -> None:
    """One measurement: figures, rules, windows that do not count, and what it was taken in."""
    from edgetvm.cli.results_views import document_of, shown
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store

    measurement = Store(url).load(measurement_id)
    Terminal(as_json).result(document_of(measurement), shown(measurement))


@command.command("export", short_help="Write measurements to FILE, one line of JSON each.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("ids", nargs=-1, metavar="[ID...]")
@_store_option
@json_option
def export_command(file: Path, ids: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Write measurements to FILE, one line of JSON each: those named, or all."""
    from edgetvm.base.files import written_aside
    from edgetvm.base.words import plural
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store
    from edgetvm.measure.exchange import exported

    store = Store(url)
    chosen = list(ids) or store.ids()
    with written_aside(file) as written:
        for one in chosen:
            written.writelines(exported(store.load(one)))
    told = f"{plural(len(chosen), 'measurement')} in {file}"
    Terminal(as_json).result({"file": str(file), "measurements": len(chosen)}, told)


@command.command("import", short_help="Keep the measurements of exported FILES.")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@_store_option
@json_option
def import_command(files: tuple[Path, ...], url: str | None, as_json: bool) -> None:
    """Keep the measurements of exported FILES, or of those that edgetvm wrote before it had a
    database: ~/.local/share/edgetvm/measurements/*.json."""
    from edgetvm.base.files import read_errors
    from edgetvm.base.words import plural
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Store
    from edgetvm.measure.exchange import imported, read_measurements

    store, added, known = Store(url), 0, 0
    for file in files:
        with read_errors(file), file.open("rb") as opened:
            new, old = imported(store, read_measurements(opened, str(file)))
        added, known = added + new, known + old
    told = f"{plural(added, 'new measurement')}, {known} known before"
    Terminal(as_json).result({"added": added, "known": known}, told)
