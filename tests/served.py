"""`edgetvm serve`, as users run it, and its application in this process."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from real_board import within
from real_command import COMMAND
from starlette.applications import Starlette

_UP_S = 120.0


@dataclass(frozen=True)
class Server:
    """A server on loopback that is up."""

    port: int

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and headers of an answer; to a body that is posted, where there is one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def document(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        status, text, _ = self.ask(path, data)
        return status, json.loads(text)


@contextmanager
def command_serving(cache: Path, *arguments: str | Path) -> Iterator[Server]:
    """`edgetvm serve ARGUMENTS` on a port that the system chose. It must end when it is told to.

    Args:
        cache: where what is built stays.
    """
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *map(str, arguments)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        server = Server(_port(process))
        try:
            assert within(_UP_S, lambda: _is_up(server))
            yield server
        finally:
            process.terminate()
            assert process.wait(30) == -signal.SIGTERM
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.match(r"http://127\.0\.0\.1:(\d+)/", line):
            return int(found[1])
    raise AssertionError("".join(said))


def _is_up(server: Server) -> bool:
    try:
        return server.ask("/v2/health/ready")[0] == 200
    except OSError:
        return False


@contextmanager
def application_serving(application: Starlette) -> Iterator[Server]:
    """An application in a thread of this process, ended with the block."""
    config = uvicorn.Config(application, port=0, log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert within(20, lambda: server.started)
        yield Server(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
