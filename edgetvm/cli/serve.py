"""`edgetvm serve`: models over HTTP, by the Open Inference Protocol."""

from __future__ import annotations

import click

from edgetvm.cli.options import threads_option

_MB = 1 << 20


@click.command("serve", short_help="Serve packages over HTTP, by the Open Inference Protocol.")
@click.argument("models", metavar="PACKAGE|MODEL|RECIPE...", nargs=-1, required=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    metavar="PORT",
    help="To listen on; 0 lets the system choose.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="To listen on. There is no login: whoever reaches another address may ask.",
)
@click.option(
    "--executors",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Requests of a model that run at once.",
)
@threads_option
@click.option(
    "--most-waiting",
    type=click.IntRange(0),
    default=64,
    show_default=True,
    metavar="N",
    help="Requests of a model that may wait; more are refused at once (503).",
)
@click.option(
    "--most-listeners",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    metavar="N",
    help="Listeners of a live page; more are refused at once.",
)
@click.option(
    "--max-body",
    "body_mb",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    metavar="MB",
    help="A request's size at most (413).",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For a request from its arrival to its answer (504).",
)
def command(
    models: tuple[str, ...],
    port: int,
    host: str,
    executors: int,
    threads: int | None,
    most_waiting: int,
    most_listeners: int,
    body_mb: int,
    timeout_s: float,
) -> None:
    """Serve packages over HTTP, by the Open Inference Protocol (KServe's V2). Ctrl-C ends it.

    Each package is verified and answers its own sample first. It runs in the C runtime, as on
    boards. Requests wait in one queue for the executors of their model, which share the cores.
    /metrics is for Prometheus. A recipe that hears a signal or reads a text has a page, too.

    \b
    edgetvm serve model.edgetvm              at /v2/models/NAME/infer
    edgetvm serve old.edgetvm new.edgetvm    two versions, the first the usual one
    """
    from edgetvm.cli.terminal import Terminal
    from edgetvm.workflow import Limits, Share, offer, open_server, page_path

    terminal = Terminal()
    with terminal.steps():
        limits = Limits(body_mb * _MB, most_waiting, timeout_s, most_listeners)
        server = open_server(map(offer, models), Share(executors, threads), limits, host, port)
    for one in server.models.all:
        terminal.say(f"{server.address}/v2/models/{one.name} (version {one.version})")
        if path := page_path(one):
            terminal.say(f"{server.address}{path} in a browser")
    server.run()
