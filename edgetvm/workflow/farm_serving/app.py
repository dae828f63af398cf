"""The web application: on loopback, for reading; who has the token may act, too."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import EdgetvmError, MissingToolError, UsageError
from edgetvm.farm.leases import LeaseStore
from edgetvm.farm.leases.taking import kick
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.report.farm_page import render_farm_page
from edgetvm.workflow.farm_serving.document import page_document

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_EVERY_S = 1.0
# Of the Host header: a page of another site whose name leads here by a trick is not answered.
_HOSTS = [LOOPBACK, "localhost", "::1"]
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def serve_farm(url: str, port: int, token: str | None) -> None:
    """Serve the page until Ctrl-C.

    Args:
        url: of the farm's database.
        port: on loopback.
        token: that lets its bearer act on boards; nobody may without one.

    Raises:
        MissingToolError: Starlette or uvicorn is not installed.
        UsageError: another process has the port, or the token is empty.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    try:
        listener = listening_socket(port)
    except OSError as error:
        raise UsageError(
            f"port {port}: {(error.strerror or str(error)).lower()}", mend="choose another: --port"
        ) from error
    with listener, LeaseStore(url) as store:
        config = uvicorn.Config(
            make_app(store, token), log_level="warning", timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


def _not_installed(error: ModuleNotFoundError) -> MissingToolError:
    return MissingToolError(
        f"the Python package {error.name} is not installed", mend="pip install 'edgetvm[farm]'"
    )


def make_app(store: LeaseStore, token: str | None) -> Starlette:
    """The application.

    Args:
        store: of the farm.
        token: see `serve_farm`.

    Raises:
        MissingToolError: Starlette is not installed.
        UsageError: the token is empty: everybody has that.
    """
    if token == "":
        raise UsageError("the token is empty", mend="give one that nobody guesses, or none")
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    site = _Site(store, token)
    return Starlette(
        routes=[
            Route("/", site.page),
            Route("/api/farm", site.farm),
            Route("/api/events", site.events),
            Route("/api/boards/{board}/{deed}", site.act, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
    )


class _Site:
    def __init__(self, store: LeaseStore, token: str | None) -> None:
        self._store, self._token = store, token
        self._deeds = {
            "kick": lambda board: kick(store, board, "from the page"),
            "maintain": lambda board: store.maintain(board, "from the page", begins=True),
            "resume": lambda board: store.maintain(board, "from the page", begins=False),
        }

    async def page(self, _request: Request) -> Response:
        from starlette.responses import HTMLResponse

        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        text = render_farm_page(nonce, may_act=self._token is not None)
        return HTMLResponse(text, headers={**_HEADERS, "Content-Security-Policy": policy})

    async def _document(self) -> dict[str, Any]:
        return await asyncio.to_thread(page_document, self._store)

    async def farm(self, _request: Request) -> Response:
        try:
            return _json(await self._document())
        except EdgetvmError as error:
            return _json({"error": str(error)}, 503)

    async def events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        return StreamingResponse(
            self._told(request), media_type="text/event-stream", headers=_HEADERS
        )

    async def _told(self, request: Request) -> AsyncIterator[str]:
        while not await request.is_disconnected():
            try:
                kind, document = "farm", await self._document()
            except EdgetvmError as error:
                kind, document = "trouble", {"error": str(error)}
            yield f"event: {kind}\ndata: {json.dumps(document)}\n\n"
            await asyncio.sleep(_EVERY_S)

    async def act(self, request: Request) -> Response:
        if self._token is None:
            return _json({"error": "this page only shows: edgetvm farm serve --token …"}, 403)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return _json({"error": "that is not the token"}, 401)
        board, deed = request.path_params["board"], request.path_params["deed"]
        if deed not in self._deeds:
            return _json({"error": f"nobody can {deed} a board"}, 404)
        try:
            await asyncio.to_thread(self._deeds[deed], board)
        except EdgetvmError as error:
            return _json({"error": str(error)}, 409)
        return _json({"done": f"{deed}: {board}"})


def _json(document: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(document, status, headers=_HEADERS)
