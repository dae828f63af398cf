"""The web application of `edgetvm serve`: the Open Inference Protocol over REST, and metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from edgetvm.base.errors import InputError
from edgetvm.base.version import __version__
from edgetvm.workflow.serving.asking import Limits, Result, admitted, in_time, ran
from edgetvm.workflow.serving.metrics import CONTENT_TYPE, exposed
from edgetvm.workflow.serving.pages import page_routes
from edgetvm.workflow.serving.protocol import (
    EXTENSIONS,
    HEADER_LENGTH,
    LONG_BYTES,
    described,
    read_request,
    written,
)
from edgetvm.workflow.serving.served import Models, ServedModel
from edgetvm.workflow.web import (
    HEADERS,
    KnownHosts,
    body_of,
    extra_of,
    json_answer,
    refused,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# What Starlette refuses by the status alone.
_BARE = {
    404: "there is no such address: models are at /v2/models/NAME",
    405: "that address does not take this method: infer takes POST",
}

_TOO_LARGE = "tensors in binary are several times smaller, and --max-body allows more"
# A float32 of 4 bytes has up to 20 digits and signs.
_JSON_PER_BINARY = 5

# What the server says while it runs goes through uvicorn's.
_LOG = logging.getLogger("uvicorn.error")


def make_app(models: Models, limits: Limits, hosts: Sequence[str]) -> Starlette:
    """The application. It closes the models when it ends.

    Args:
        hosts: that the Host header may name; `*` is any.

    Raises:
        MissingToolError: Starlette is not installed.
    """
    with extra_of("serve"):
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.middleware import Middleware
        from starlette.routing import Route
    server = _Server(models, limits)
    of_model = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    return Starlette(
        routes=[
            Route("/v2", server.metadata),
            Route("/v2/health/live", server.live),
            Route("/v2/health/ready", server.ready),
            *(Route(path, server.model) for path in of_model),
            *(Route(f"{path}/ready", server.model_ready) for path in of_model),
            *(Route(f"{path}/infer", server.infer, methods=["POST"]) for path in of_model),
            Route("/metrics", server.metrics),
            *page_routes(models, limits),
        ],
        middleware=[Middleware(KnownHosts, hosts=hosts)],
        exception_handlers={HTTPException: _told, Exception: _failed},
        lifespan=server.lifespan,
    )


def _told(_request: Request, error: Exception) -> Response:
    """Paths and methods that are none are refused as all else is: in JSON, with a sentence."""
    from starlette.exceptions import HTTPException

    known = error if isinstance(error, HTTPException) else HTTPException(500)
    is_bare = known.detail == HTTPStatus(known.status_code).phrase
    words = _BARE.get(known.status_code, known.detail) if is_bare else known.detail
    answer = json_answer({"error": words}, known.status_code)
    answer.headers.update(known.headers or {})  # `Allow`, where the method was wrong
    return answer


def _failed(_request: Request, _error: Exception) -> Response:
    """What is a fault of ours: the log has its traceback."""
    return json_answer({"error": "the server failed at this: its terminal says where"}, 500)


class _Server:
    def __init__(self, models: Models, limits: Limits) -> None:
        self._models, self._limits = models, limits
        # One: several would only wait for each other, and the event loop for them all.
        self._translator = ThreadPoolExecutor(1, "translator")

    @asynccontextmanager
    async def lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        yield
        self._translator.shutdown(cancel_futures=True)
        for name in self._models.close():
            _LOG.warning("a run of %s does not end: it is left behind", name)

    async def metadata(self, _request: Request) -> Response:
        told = {"name": "edgetvm", "version": __version__, "extensions": list(EXTENSIONS)}
        return json_answer(told)

    async def live(self, _request: Request) -> Response:
        return json_answer({"live": True})

    async def ready(self, _request: Request) -> Response:
        return json_answer({"ready": True})  # there is an event loop once all models are open

    async def model(self, request: Request) -> Response:
        one = self._found(request)
        return json_answer(
            {
                "name": one.name,
                "versions": self._models.versions(one.name),
                "platform": "edgetvm",
                "inputs": described(one.signature.inputs),
                "outputs": described(one.signature.outputs),
            }
        )

    async def model_ready(self, request: Request) -> Response:
        return json_answer({"name": self._found(request).name, "ready": True})

    async def metrics(self, _request: Request) -> Response:
        from starlette.responses import Response

        told = {(one.name, one.version): one.metrics for one in self._models.all}
        return Response(exposed(told), media_type=CONTENT_TYPE, headers=HEADERS)

    async def infer(self, request: Request) -> Response:
        from starlette.exceptions import HTTPException

        one, began_s = self._found(request), time.monotonic()
        try:
            async with admitted(one, self._limits) as until_s:
                answer = await self._answered(one, request, until_s)
        except HTTPException as refusal:
            answer = json_answer({"error": refusal.detail}, refusal.status_code)
        one.metrics.answered[answer.status_code] += 1
        one.metrics.seconds["request"].add(time.monotonic() - began_s)
        return answer

    def _found(self, request: Request) -> ServedModel:
        name, version = request.path_params["model"], request.path_params.get("version")
        one = self._models.find(name, version)
        if one is None:
            known = ", ".join(f"{one.name} (version {one.version})" for one in self._models.all)
            raise refused(404, f"there is no such model: there are {known}")
        return one

    async def _answered(self, one: ServedModel, request: Request, until_s: float) -> Response:
        from starlette.responses import Response

        reading = body_of(request, self._limits.body_bytes, _TOO_LARGE)
        body = await in_time(reading, until_s, 408, "the request did not end")
        header = request.headers.get(HEADER_LENGTH)
        try:
            asked = await self._translated(
                partial(read_request, body, header, one.signature), len(body), until_s
            )
            outputs = (await ran(one, asked.inputs, until_s)).outputs
            beside = {"model_name": one.name, "model_version": one.version}
            told = beside if asked.id is None else {**beside, "id": asked.id}
            size = _JSON_PER_BINARY * sum(array.nbytes for array in outputs.values())
            content, header_length = await self._translated(
                partial(written, told, outputs, asked.outputs), size, until_s
            )
        except InputError as error:
            raise refused(400, str(error)) from error
        if header_length is None:
            return Response(content, media_type="application/json", headers=HEADERS)
        headers = {**HEADERS, HEADER_LENGTH: str(header_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def _translated(
        self, work: Callable[[], Result], size_bytes: int, until_s: float
    ) -> Result:
        """The result of work on so much JSON. Where that is long, others are answered meanwhile."""
        if size_bytes <= LONG_BYTES:
            return work()
        apart = asyncio.get_running_loop().run_in_executor(self._translator, work)
        return await in_time(apart, until_s, 504, "there was no answer")
