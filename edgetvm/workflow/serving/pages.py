"""Pages of served models whose recipes say what goes in and what comes out."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from edgetvm.base.errors import EdgetvmError
from edgetvm.report.live_page import chunks_script, render_live_page
from edgetvm.workflow.serving.executors import Ran
from edgetvm.workflow.serving.live import LiveStream, Signal
from edgetvm.workflow.serving.served import Models, ServedModel
from edgetvm.workflow.web import HEADERS, json_answer, page_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

# Of WebSockets: it may not, and it sends what is no chunk.
_FORBIDDEN, _NO_CHUNK = 1008, 1003


def page_path(model: ServedModel) -> str | None:
    """Where a model's page is; None where it has none."""
    is_live = model.recipe is not None and model.recipe.stream is not None
    return f"/pages/{model.name}" if is_live else None


def page_routes(models: Models) -> list[BaseRoute]:
    """Of all pages, with what their scripts ask."""
    from starlette.routing import Route, WebSocketRoute

    pages = _Pages(models)
    return [
        Route("/", pages.first),
        Route("/pages/chunks.js", pages.script),
        Route("/pages/{model}", pages.page),
        WebSocketRoute("/pages/{model}/chunks", pages.chunks),
    ]


class _Pages:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def first(self, _request: Request) -> Response:
        from starlette.responses import RedirectResponse

        paths = [path for path in map(page_path, self._models.all) if path is not None]
        if not paths:
            return json_answer({"error": "no model here has a page: see /v2"}, 404)
        return RedirectResponse(paths[0], headers=HEADERS)

    async def script(self, _request: Request) -> Response:
        from starlette.responses import Response

        return Response(chunks_script(), media_type="text/javascript", headers=HEADERS)

    async def page(self, request: Request) -> Response:
        one = self._models.find(request.path_params["model"])
        recipe = one.recipe if one is not None else None
        if one is None or recipe is None or recipe.stream is None:
            return json_answer({"error": "there is no such page: see /v2"}, 404)
        told = {
            "model": one.name,
            "name": recipe.name,
            "description": recipe.description,
            "sample_rate_hz": recipe.stream.sample_rate_hz,
            "hop_samples": recipe.stream.hop_samples,
            "chunk_ms": recipe.stream.chunk_ms,
            "deadline_ms": recipe.deadline_ms or recipe.stream.chunk_ms,
        }
        return page_answer(lambda nonce: render_live_page(nonce, told), scripts="'self'")

    async def chunks(self, socket: WebSocket) -> None:
        """A stream: a chunk of float32 samples in each message, and an answer to each."""
        one = self._models.find(socket.path_params["model"])
        if one is None or one.recipe is None or page_path(one) is None or _is_foreign(socket):
            await socket.close(_FORBIDDEN)
            return
        await socket.accept()
        stream = LiveStream(one.recipe, one.signature)
        while (message := await socket.receive())["type"] == "websocket.receive":
            chunk = _signal(message.get("bytes"), stream.hop)
            if chunk is None:
                await socket.close(_NO_CHUNK, f"send {stream.hop} float32 samples at a time")
                return
            try:
                ran, answer = await asyncio.to_thread(_answered, one, stream, chunk)
            except EdgetvmError as error:
                await socket.send_json({"error": str(error)})
                await socket.close()
                return
            one.metrics.ran(ran.queue_s, ran.run_s)
            await socket.send_json(answer)


def _is_foreign(socket: WebSocket) -> bool:
    """Whether a page of another site asks: browsers let it, and tell whose page it is."""
    origin = socket.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != socket.headers.get("Host")


def _signal(data: bytes | None, hop: int) -> Signal | None:
    """A chunk, as loud as a signal can be; None where that is none."""
    if data is None or len(data) != 4 * hop:
        return None
    return np.clip(np.nan_to_num(np.frombuffer(data, "<f4")), -1, 1).astype(np.float32)


def _answered(one: ServedModel, stream: LiveStream, chunk: Signal) -> tuple[Ran, dict[str, Any]]:
    ran = one.executors.submit(stream.inputs(chunk)).result()
    said, events = stream.answered(ran.outputs)
    return ran, {
        **asdict(said),
        "events": [asdict(event) for event in events],
        "queue_ms": 1000 * ran.queue_s,
        "run_ms": 1000 * ran.run_s,
    }
