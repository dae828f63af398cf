"""What our web applications share: who may ask, what pages may do, and how they are run."""

from __future__ import annotations

import errno
import json
import logging
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import MissingToolError, UsageError
from edgetvm.base.units import format_bytes
from edgetvm.farm.listening import LOOPBACK

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

# Of the Host header: a page of another site whose name leads here by a trick is not answered.
LOOPBACK_HOSTS = (LOOPBACK, "localhost")
# Bodies so many times too large are read to their end: who still sends does not hear the refusal.
_DROPPED = 8
_BACKLOG = 128
# Of one message; a chunk of audio has a few kilobytes.
_WEBSOCKET_BYTES = 1 << 20
HEADERS: Mapping[str, str] = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@contextmanager
def extra_of(name: str) -> Iterator[None]:
    """Imports of what one of edgetvm's extras installs.

    Raises:
        MissingToolError: it is not installed; says how.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed",
            mend=f"pip install 'edgetvm[{name}]'",
        ) from error


def listener_at(port: int, host: str = LOOPBACK) -> socket.socket:
    """A socket that listens there.

    Raises:
        UsageError: another process has the port, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: only then asyncio sends the end of an answer before its beginning is
    # acknowledged, which many clients put off for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        place = f"port {port}" if host == LOOPBACK else f"{host}, port {port}"
        said = (error.strerror or str(error)).lower()
        wrong = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise UsageError(f"{place}: {said}", mend=f"choose another: {wrong}") from error
    return listener


def hosts_at(listener: socket.socket) -> tuple[str, ...]:
    """What the Host header may name of who asks there; `*` is any, where other machines may ask."""
    address = listener.getsockname()[0]
    if not ip_address(address).is_loopback:
        return ("*",)
    own = f"[{address}]" if ":" in address else address
    return tuple(dict.fromkeys((*LOOPBACK_HOSTS, own)))


class KnownHosts:
    """Lets an application answer only who names it by its hosts (`hosts_at`); tells others so."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        is_known = scope["type"] == "lifespan" or "*" in self._hosts
        if is_known or _host(scope) in self._hosts:
            await self._app(scope, receive, send)
            return
        words = f"this server is called {', '.join(self._hosts)}: name one of these as the Host"
        await json_answer({"error": words}, 400)(scope, receive, send)


def _host(scope: Scope) -> str | None:
    """What the Host header names, without the port."""
    named = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    found = re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", named)
    return found[1] if found else None


def run_application(application: Starlette, listener: socket.socket, grace_s: int) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are under way then have so long to end."""
    import uvicorn

    config = uvicorn.Config(
        application,
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
        ws_max_size=_WEBSOCKET_BYTES,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_told)
    uvicorn.Server(config).run(sockets=[listener])


def _is_told(record: logging.LogRecord) -> bool:
    """Of what uvicorn says: troubles, and what its end waits for. A second Ctrl-C is no trouble."""
    words = logging.Formatter().format(record).strip()
    if record.levelno < logging.WARNING:
        return words.startswith("Waiting for connections")
    return not words.endswith("CancelledError")


def refused(status: int, sentence: str) -> HTTPException:
    """What to raise for a request that gets a sentence and no answer."""
    from starlette.exceptions import HTTPException

    return HTTPException(status, sentence)


async def body_of(request: Request, most_bytes: int, mend: str) -> bytes:
    """A request's body, of which no more is read than is allowed.

    Args:
        mend: of one that is larger.

    Raises:
        HTTPException: it is larger, or compressed, or the client is gone.
    """
    from starlette.requests import ClientDisconnect

    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise refused(415, "send the body as it is, without a Content-Encoding")
    told = request.headers.get("Content-Length", "0")
    size = int(told) if told.isdigit() else 0
    try:
        body = b"" if size > _DROPPED * most_bytes else await _read(request, most_bytes)
    except ClientDisconnect as error:
        raise refused(400, "the client is gone") from error
    if body is None or size > most_bytes:
        raise refused(413, f"a request has {format_bytes(most_bytes)} at most: {mend}")
    return body


async def _read(request: Request, most_bytes: int) -> bytes | None:
    """A body; None where it is too large: then it is read further, and dropped."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most_bytes:
            parts.append(part)
        elif size > _DROPPED * most_bytes:
            break
    return b"".join(parts) if size <= most_bytes else None


def json_text(document: Mapping[str, Any]) -> str:
    """A document as JSON.

    Raises:
        HTTPException: it holds NaN or infinity, as models may answer.
    """
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise refused(500, "the model's answer holds NaN or infinity: JSON has neither") from error
    # Half a character of a client's, which UTF-8 does not have: as JSON escapes it.
    return text.encode(errors="backslashreplace").decode()


def json_answer(document: Mapping[str, Any], status: int = 200) -> Response:
    """A document, for nobody to keep.

    Raises:
        HTTPException: see `json_text`.
    """
    from starlette.responses import Response

    return Response(json_text(document), status, HEADERS, "application/json")


def page_answer(render: Callable[[str], str], scripts: str = "") -> Response:
    """A page that loads nothing from elsewhere, and asks only the server that it came from.

    Args:
        render: makes the page's text, given the nonce that its own script may run by.
        scripts: sources of others that it may run.
    """
    from starlette.responses import HTMLResponse

    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}' {scripts}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(render(nonce), headers={**HEADERS, "Content-Security-Policy": policy})
