"""The server: what it opens before it listens, and how it ends."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgetvm.farm.listening import LOOPBACK
from edgetvm.workflow.serving.app import make_app
from edgetvm.workflow.serving.asking import Limits
from edgetvm.workflow.serving.served import Models, Offer, Share, open_models
from edgetvm.workflow.web import extra_of, hosts_at, listener_at, run_application


@dataclass(frozen=True)
class Server:
    """A server that is ready to run.

    Attributes:
        address: `http://HOST:PORT`.
        models: that it serves.
    """

    address: str
    models: Models
    limits: Limits
    hosts: Sequence[str]
    listener: socket.socket

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM. Requests that are under way are answered first."""
        with self.listener:
            application = make_app(self.models, self.limits, self.hosts)
            run_application(application, self.listener, math.ceil(self.limits.timeout_s))


def open_server(
    offers: Iterable[Offer],
    share: Share = Share(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
    host: str = LOOPBACK,
    port: int = 8080,
) -> Server:
    """Take the port, and open the models.

    Args:
        offers: several of one name are its versions, the first the usual one. An iterator is asked
            for none before the port is taken.
        share: of this machine.
        limits: see `Limits`.
        host: address to listen on. There is no login: whoever reaches it may ask.
        port: 0 lets the system choose.

    Raises:
        MissingToolError: Starlette or uvicorn is not installed.
        UsageError: another process has the port, or a package is named twice.
        EdgetvmError: a package is not for this machine, or wrong on its sample.
    """
    with extra_of("serve"):
        import starlette  # noqa: F401 - told before models are opened
        import uvicorn  # noqa: F401 - likewise
    listener = listener_at(port, host)
    try:
        models = open_models(offers, share)
    except BaseException:
        listener.close()
        raise
    place = f"[{host}]" if ":" in host else host
    address = f"http://{place}:{listener.getsockname()[1]}"
    return Server(address, models, limits, hosts_at(listener), listener)
