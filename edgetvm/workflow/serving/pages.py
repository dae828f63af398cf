"""Pages of served models whose recipes say what goes in and what comes out."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from edgetvm.base.errors import EdgetvmError
from edgetvm.recipes import POSTPROCESS, PREPROCESS, Recipe, Sample, interpret, prepare
from edgetvm.report.live_page import chunks_script, render_live_page
from edgetvm.report.text_page import render_text_page
from edgetvm.workflow.serving.asking import Limits, admitted, in_time, listened_to, ran
from edgetvm.workflow.serving.live import LiveStream, Signal, is_live
from edgetvm.workflow.serving.served import Models, ServedModel
from edgetvm.workflow.web import (
    HEADERS,
    body_of,
    json_answer,
    json_text,
    page_answer,
    refused,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

# WebSockets are closed so: where they may not be, by faults of ours, by the status of a refusal.
_FORBIDDEN, _FAULT = 1008, 1011
_CLOSED = {400: 1003, 408: 1008, 503: 1013}
# Chunks of one listener that are read before they can be answered.
_AHEAD = 64
_TEXT_BYTES = 1 << 16


def page_path(model: ServedModel) -> str | None:
    """Where a model's page is; None where it has none."""
    recipe = model.recipe
    has_one = recipe is not None and (is_live(recipe) or _reads_text(recipe))
    return f"/pages/{model.name}" if has_one else None


def _reads_text(recipe: Recipe) -> bool:
    """Whether it takes a text, and says what that is."""
    before, after = recipe.preprocess, recipe.postprocess
    if before is None or after is None:
        return False
    return PREPROCESS.needs_text(before.name) and POSTPROCESS.form(after.name) == "top-k"


def page_routes(models: Models, limits: Limits) -> list[BaseRoute]:
    """Of all pages, with what their scripts ask."""
    from starlette.routing import Route, WebSocketRoute

    pages = _Pages(models, limits)
    return [
        Route("/", pages.first),
        Route("/pages/chunks.js", pages.script),
        Route("/pages/{model}", pages.page),
        Route("/pages/{model}/text", pages.text, methods=["POST"]),
        WebSocketRoute("/pages/{model}/chunks", pages.chunks),
    ]


class _Pages:
    def __init__(self, models: Models, limits: Limits) -> None:
        self._models, self._limits = models, limits

    async def first(self, _request: Request) -> Response:
        from starlette.responses import RedirectResponse

        paths = [path for path in map(page_path, self._models.all) if path is not None]
        if not paths:
            raise refused(404, "no model here has a page: see /v2")
        return RedirectResponse(paths[0], headers=HEADERS)

    async def script(self, _request: Request) -> Response:
        from starlette.responses import Response

        return Response(chunks_script(), media_type="text/javascript", headers=HEADERS)

    async def page(self, request: Request) -> Response:
        one, recipe = self._found(request.path_params["model"])
        told = {"model": one.name, "name": recipe.name, "description": recipe.description}
        if recipe.stream is None:
            return page_answer(partial(render_text_page, told=told))
        signal = {
            "sample_rate_hz": recipe.stream.sample_rate_hz,
            "hop_samples": recipe.stream.hop_samples,
            "chunk_ms": recipe.stream.chunk_ms,
            "deadline_ms": recipe.deadline_ms or recipe.stream.chunk_ms,
        }
        return page_answer(partial(render_live_page, told={**told, **signal}), scripts="'self'")

    def _found(self, name: str) -> tuple[ServedModel, Recipe]:
        one = self._models.find(name)
        if one is None or one.recipe is None or page_path(one) is None:
            raise refused(404, "there is no such page: see /v2")
        return one, one.recipe

    async def text(self, request: Request) -> Response:
        """What a text is: its classes, the best first."""
        one, recipe = self._found(request.path_params["model"])
        if not _reads_text(recipe):
            raise refused(404, "it takes no text")
        async with admitted(one, self._limits) as until_s:
            reading = body_of(request, _TEXT_BYTES, "make the text shorter")
            body = await in_time(reading, until_s, 408, "the text did not end")
            sample = Sample("typed", {}, attributes={"text": _text(body)})
            try:
                found = await ran(one, await asyncio.to_thread(prepare, recipe, sample), until_s)
                prediction = await asyncio.to_thread(interpret, recipe, found.outputs, sample)
            except EdgetvmError as error:
                raise refused(400, str(error)) from error
        return json_answer({**prediction, "run_ms": 1000 * found.run_s})

    async def chunks(self, socket: WebSocket) -> None:
        """A stream: a chunk of float32 samples in each message, and an answer to each."""
        from starlette.exceptions import HTTPException
        from starlette.websockets import WebSocketDisconnect

        one = self._models.find(socket.path_params["model"])
        if one is None or one.recipe is None or not is_live(one.recipe) or _is_foreign(socket):
            await socket.close(_FORBIDDEN)
            return
        await socket.accept()
        with suppress(WebSocketDisconnect):  # who is gone needs no answer
            try:
                with listened_to(one, self._limits):
                    await self._listened(one, LiveStream(one.recipe, one.signature), socket)
            except HTTPException as refusal:
                await _ended(socket, refusal.detail, _CLOSED.get(refusal.status_code, _FAULT))
            except EdgetvmError as error:
                await _ended(socket, str(error), _FAULT)

    async def _listened(self, one: ServedModel, stream: LiveStream, socket: WebSocket) -> None:
        """Answer chunk by chunk, until the listener goes: be it in the midst of a chunk."""
        chunks: asyncio.Queue[Signal] = asyncio.Queue(_AHEAD)
        both = (
            asyncio.create_task(self._received(socket, stream.hop, chunks)),
            asyncio.create_task(self._answered(one, stream, socket, chunks)),
        )
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in both:
                work.cancel()
        for found in await asyncio.gather(*both, return_exceptions=True):
            if isinstance(found, Exception):
                raise found

    async def _received(
        self, socket: WebSocket, hop: int, chunks: asyncio.Queue[Signal]
    ) -> NoReturn:
        from starlette.websockets import WebSocketDisconnect

        while True:
            until_s = asyncio.get_running_loop().time() + self._limits.timeout_s
            message = await in_time(socket.receive(), until_s, 408, "no chunk came")
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            await chunks.put(_signal(message.get("bytes"), hop))

    async def _answered(
        self,
        one: ServedModel,
        stream: LiveStream,
        socket: WebSocket,
        chunks: asyncio.Queue[Signal],
    ) -> NoReturn:
        while True:
            answer = await self._heard(one, stream, await chunks.get())
            await socket.send_text(json_text(answer))

    async def _heard(self, one: ServedModel, stream: LiveStream, chunk: Signal) -> dict[str, Any]:
        async with admitted(one, self._limits) as until_s:
            inputs = await asyncio.to_thread(stream.inputs, chunk)
            found = await ran(one, inputs, until_s)
            said, events = await asyncio.to_thread(stream.answered, found.outputs)
        return {
            **asdict(said),
            "events": [asdict(event) for event in events],
            "queue_ms": 1000 * found.queue_s,
            "run_ms": 1000 * found.run_s,
        }


def _text(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refused(400, f"it is not JSON: {error}") from error
    text = document.get("text") if isinstance(document, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise refused(400, 'give a text: {"text": "…"}')
    return text


def _is_foreign(socket: WebSocket) -> bool:
    """Whether a page of another site asks: browsers let it, and tell whose page it is."""
    origin = socket.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != socket.headers.get("Host")


def _signal(data: bytes | None, hop: int) -> Signal:
    """A chunk, as loud as a signal can be.

    Raises:
        HTTPException: it is none.
    """
    if data is None or len(data) != 4 * hop:
        raise refused(400, f"send {hop} float32 samples at a time")
    loud: Signal = np.clip(np.nan_to_num(np.frombuffer(data, "<f4")), -1, 1).astype(np.float32)
    return loud


async def _ended(socket: WebSocket, words: str, code: int) -> None:
    """Say why, and close."""
    await socket.send_text(json_text({"error": words}))
    await socket.close(code)
