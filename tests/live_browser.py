"""A page under way in a real browser: what it shows is asked, and its buttons are pressed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "google-chrome", "chromium-browser")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--remote-debugging-pipe",
)  # fmt: skip


class Page:
    """An open page. The browser speaks its DevTools protocol on two pipes.

    Attributes:
        events: that it told of so far, of the domains that were enabled.
    """

    def __init__(self, sent: int, received: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._sent, self._received = sent, received
        self._count, self._session, self._rest = 0, "", b""

    def open(self, url: str) -> None:
        """Have it show an address."""
        target = self.ask("Target.createTarget", url=url)["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def go(self, url: str) -> None:
        """Have it show another, until all of that is loaded."""
        self.ask("Page.enable")
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page."""
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a command of the protocol answers."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._sent, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._count:
                assert "error" not in told, told
                return dict(told["result"])
            self.events.append(told)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._received, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(first))


@contextmanager
def page_at(url: str, folder: Path, flags: Sequence[str] = ()) -> Iterator[Page]:
    """A page in a browser of its own.

    Args:
        url: that it shows.
        folder: for the browser's files; empty.
        flags: more for the browser.
    """
    browser = next((one for one in map(shutil.which, _NAMES) if one), None)
    if browser is None:
        pytest.fail("no browser is installed: run scripts/setup test, or snap install chromium")
    theirs_in, sent = os.pipe()
    received, theirs_out = os.pipe()
    # It reads from descriptor 3 and writes to 4.
    words = ["bash", "-c", f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"', "bash", browser]
    with subprocess.Popen(
        [*words, *_FLAGS, *flags, f"--user-data-dir={folder}"],
        pass_fds=[theirs_in, theirs_out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            page = Page(sent, received)
            page.open(url)
            yield page
        finally:
            process.kill()
            os.close(sent)
            os.close(received)
