"""The web application: on loopback, for reading; who has the token may act, too."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import EdgetvmError, UsageError
from edgetvm.farm.leases import LeaseStore
from edgetvm.farm.leases.taking import kick
from edgetvm.report.farm_page import render_farm_page
from edgetvm.workflow.farm_serving.document import page_document
from edgetvm.workflow.web import (
    HEADERS,
    LOOPBACK_HOSTS,
    KnownHosts,
    extra_of,
    json_answer,
    listener_at,
    page_answer,
    run_application,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_EVERY_S = 1.0
_EXTRA = "farm"


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
    with extra_of(_EXTRA):
        import uvicorn  # noqa: F401 - told before the farm's database is opened
    with listener_at(port) as listener, LeaseStore(url) as store:
        run_application(make_app(store, token), listener, 1)


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
    with extra_of(_EXTRA):
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Route
    site = _Site(store, token)
    return Starlette(
        routes=[
            Route("/", site.page),
            Route("/api/farm", site.farm),
            Route("/api/events", site.events),
            Route("/api/boards/{board}/{deed}", site.act, methods=["POST"]),
        ],
        middleware=[Middleware(KnownHosts, hosts=LOOPBACK_HOSTS)],
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
        may_act = self._token is not None
        return page_answer(lambda nonce: render_farm_page(nonce, may_act=may_act))

    async def _document(self) -> dict[str, Any]:
        return await asyncio.to_thread(page_document, self._store)

    async def farm(self, _request: Request) -> Response:
        try:
            return json_answer(await self._document())
        except EdgetvmError as error:
            return json_answer({"error": str(error)}, 503)

    async def events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        return StreamingResponse(
            self._told(request), media_type="text/event-stream", headers=HEADERS
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
            return json_answer({"error": "this page only shows: edgetvm farm serve --token …"}, 403)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return json_answer({"error": "that is not the token"}, 401)
        board, deed = request.path_params["board"], request.path_params["deed"]
        if deed not in self._deeds:
            return json_answer({"error": f"nobody can {deed} a board"}, 404)
        try:
            await asyncio.to_thread(self._deeds[deed], board)
        except EdgetvmError as error:
            return json_answer({"error": str(error)}, 409)
        return json_answer({"done": f"{deed}: {board}"})
