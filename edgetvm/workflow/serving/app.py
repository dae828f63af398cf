"""The web application of `edgetvm serve`: the Open Inference Protocol over REST, and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgetvm.base.errors import InputError, PackageError
from edgetvm.base.version import __version__
from edgetvm.workflow.serving.metrics import CONTENT_TYPE, exposed
from edgetvm.workflow.serving.pages import page_routes
from edgetvm.workflow.serving.protocol import (
    EXTENSIONS,
    HEADER_LENGTH,
    described,
    read_request,
    written,
)
from edgetvm.workflow.serving.served import Models, ServedModel
from edgetvm.workflow.web import HEADERS, extra_of, json_answer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """What one client cannot make the server do.

    Attributes:
        body_bytes: that a request may have.
        waiting: requests of a model that wait for an executor; more are refused at once.
        timeout_s: from a request's arrival to its answer.
    """

    body_bytes: int = 64 << 20
    waiting: int = 64
    timeout_s: float = 30.0


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
        from starlette.middleware.trustedhost import TrustedHostMiddleware
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
            *page_routes(models),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={HTTPException: _told},
        lifespan=server.lifespan,
    )


def _told(_request: Request, error: HTTPException) -> Response:
    """Paths and methods that are none are refused as all else is: in JSON, with a sentence."""
    return json_answer({"error": error.detail}, error.status_code)


def _refused(status: int, sentence: str) -> HTTPException:
    from starlette.exceptions import HTTPException

    return HTTPException(status, sentence)


class _Server:
    def __init__(self, models: Models, limits: Limits) -> None:
        self._models, self._limits = models, limits

    @asynccontextmanager
    async def lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        yield
        self._models.close()

    async def metadata(self, _request: Request) -> Response:
        told = {"name": "edgetvm", "version": __version__, "extensions": list(EXTENSIONS)}
        return json_answer(told)

    async def live(self, _request: Request) -> Response:
        return json_answer({"live": True})

    async def ready(self, _request: Request) -> Response:
        return json_answer({"ready": True})  # it listens once all models are open

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
        one.metrics.in_flight += 1
        try:
            answer = await self._answered(one, request)
        except HTTPException as refusal:
            answer = json_answer({"error": refusal.detail}, refusal.status_code)
        finally:
            one.metrics.in_flight -= 1
        one.metrics.answered[answer.status_code] += 1
        one.metrics.seconds["request"].add(time.monotonic() - began_s)
        return answer

    def _found(self, request: Request) -> ServedModel:
        name, version = request.path_params["model"], request.path_params.get("version")
        one = self._models.find(name, version)
        if one is None:
            known = ", ".join(f"{one.name} (version {one.version})" for one in self._models.all)
            raise _refused(404, f"there is no such model: there are {known}")
        return one

    async def _answered(self, one: ServedModel, request: Request) -> Response:
        from starlette.responses import Response

        if one.metrics.in_flight > self._limits.waiting + one.executors.count:
            raise _refused(503, f"{self._limits.waiting} requests wait already: try again later")
        until_s = asyncio.get_running_loop().time() + self._limits.timeout_s
        body = await self._in_time(self._body(request), until_s, 408, "the request did not end")
        try:
            asked = read_request(body, request.headers.get(HEADER_LENGTH), one.signature)
            running = asyncio.wrap_future(one.executors.submit(asked.inputs))
            ran = await self._in_time(running, until_s, 504, "there was no answer")
            beside = {"model_name": one.name, "model_version": one.version}
            told = beside if asked.id is None else {**beside, "id": asked.id}
            content, header_length = written(told, ran.outputs, asked.outputs)
        except InputError as error:
            raise _refused(400, str(error)) from error
        except PackageError as error:
            raise _refused(500, str(error)) from error
        one.metrics.ran(ran.queue_s, ran.run_s)
        if header_length is None:
            return Response(content, media_type="application/json", headers=HEADERS)
        headers = {**HEADERS, HEADER_LENGTH: str(header_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def _in_time(
        self, work: Awaitable[Result], until_s: float, status: int, words: str
    ) -> Result:
        try:
            async with asyncio.timeout_at(until_s):
                return await work
        except TimeoutError as error:
            raise _refused(status, f"{words} within {self._limits.timeout_s:g} s") from error

    async def _body(self, request: Request) -> bytes:
        """The body, of which no more is read than is allowed."""
        from starlette.requests import ClientDisconnect

        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise _refused(415, "send the body as it is, without a Content-Encoding")
        most = self._limits.body_bytes
        told = request.headers.get("Content-Length", "0")
        parts, size = [], int(told) if told.isdigit() else 0
        if size <= most:
            size = 0
            try:
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        break
            except ClientDisconnect as error:
                raise _refused(400, "the client is gone") from error
        if size > most:
            raise _refused(413, f"a request has {most} bytes at most")
        return b"".join(parts)
