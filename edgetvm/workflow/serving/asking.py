"""A request's way to an executor, within the limits that no client can leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from edgetvm.base.errors import PackageError
from edgetvm.models.model import Arrays
from edgetvm.workflow.serving.executors import Ran
from edgetvm.workflow.serving.served import ServedModel
from edgetvm.workflow.web import refused

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """What one client cannot make the server do.

    Attributes:
        body_bytes: that a request may have.
        waiting: requests of a model that wait for an executor; more are refused at once.
        timeout_s: from a request's arrival to its answer; a listener is silent no longer.
        listeners: of a model's live page; more are refused at once.
    """

    body_bytes: int = 64 << 20
    waiting: int = 64
    timeout_s: float = 30.0
    listeners: int = 16


@asynccontextmanager
async def admitted(one: ServedModel, limits: Limits) -> AsyncIterator[float]:
    """A place among the requests of a model that have no answer yet, taken before a body is read.

    Yields:
        the event loop's time by which it must be answered.

    Raises:
        HTTPException: all places are taken.
    """
    most = limits.waiting + one.executors.count
    # What nobody waits for any more is in the queue until an executor comes to it.
    if max(one.metrics.in_flight, one.executors.waiting) >= most:
        raise refused(503, f"{limits.waiting} requests wait already: try again later")
    one.metrics.in_flight += 1
    try:
        yield asyncio.get_running_loop().time() + limits.timeout_s
    finally:
        one.metrics.in_flight -= 1


@contextmanager
def listened_to(one: ServedModel, limits: Limits) -> Iterator[None]:
    """A place among a model's live listeners; free again at the end of the block.

    Raises:
        HTTPException: all places are taken.
    """
    if one.metrics.listeners >= limits.listeners:
        words = f"there are {limits.listeners} listeners already (--most-listeners)"
        raise refused(503, f"{words}: try again later")
    one.metrics.listeners += 1
    try:
        yield
    finally:
        one.metrics.listeners -= 1


async def in_time(work: Awaitable[Result], until_s: float, status: int, words: str) -> Result:
    """The result of work that ends in time; else it is cancelled.

    Raises:
        HTTPException: of that status, with those words.
    """
    try:
        async with asyncio.timeout_at(until_s):
            return await work
    except TimeoutError as error:
        raise refused(status, f"{words} in time") from error


async def ran(one: ServedModel, inputs: Arrays, until_s: float) -> Ran:
    """A run, once an executor is free. Where the time is over before, it does not begin.

    Raises:
        HTTPException: it was not in time, or failed.
    """
    running = asyncio.wrap_future(one.executors.submit(inputs))
    try:
        found = await in_time(running, until_s, 504, "there was no answer")
    except PackageError as error:
        raise refused(500, str(error)) from error
    one.metrics.ran(found.queue_s, found.run_s)
    return found
