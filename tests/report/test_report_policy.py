"""The page in a real browser: by its own policy, a stranger's, without script, without network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from live_browser import Page, page_at
from made_measurements import MS, make

from edgetvm.report import render_html
from edgetvm.report.page import content_policy

# What Jenkins' and other servers of artefacts send.
STRANGERS = "default-src 'none'"
LOG = "Log.entryAdded"


@pytest.fixture(scope="module")
def html() -> str:
    """Three models on two boards; the quickest is `b`, and `c` is unsteady."""
    slow_ns = {"a": (), "b": (), "c": (90 * MS,) * 9}
    return render_html(
        [
            make(model, board, samples_ns=(*range(k * MS, k * MS + 200_000, 1000), *slow_ns[model]))
            for model, k in (("a", 3), ("b", 1), ("c", 12))
            for board in ("rpi4", "rpi5")
        ]
    )


@pytest.fixture(scope="module")
def served(html: str) -> Iterator[str]:
    """Its address; what is before `?` there is the policy that it is sent with."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            policy = STRANGERS if self.path == "/strangers" else content_policy()
            self.send_header("Content-Security-Policy", policy)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode() if self.path != "/favicon.ico" else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser that tells of what it loads and refuses."""
    with page_at("about:blank", tmp_path_factory.mktemp("browser")) as opened:
        opened.ask("Network.enable")
        opened.ask("Log.enable")
        yield opened


def refused(page: Page) -> list[str]:
    """What the policy forbade."""
    found = [one["params"]["entry"]["text"] for one in page.events if one["method"] == LOG]
    return [text for text in found if "Content Security Policy" in text]


def requests(page: Page) -> list[Any]:
    found = [one for one in page.events if one["method"] == "Network.requestWillBeSent"]
    return [one["params"]["request"]["url"] for one in found]


def check_readable(page: Page) -> None:
    """The verdict is seen first, then figures, and each drawing with its words."""
    text = page.value("document.body.innerText")
    assert re.search(r"b: 1\.10 ms per run at p50 .* on rpi[45], the fastest of 2", text)
    assert text.index("per run at p50") < text.index("Summary") < text.index("Boards")
    sizes = page.value(
        "[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect())"
        ".filter(one => one.width > 0).map(one => [one.width, one.height])"
    )
    assert len(sizes) == 18 and all(width > 100 and height > 10 for width, height in sizes)


def test_its_own_policy_refuses_nothing_of_it_and_all_else(page: Page, served: str) -> None:
    page.go(f"{served}/own")
    check_readable(page)
    assert refused(page) == []
    assert requests(page) in ([f"{served}/own"], [f"{served}/own", f"{served}/favicon.ico"])
    assert page.value("getComputedStyle(document.body).maxWidth") != "none"
    page.value("document.body.insertAdjacentHTML('beforeend', '<p id=x style=\"color:red\">x</p>')")
    assert page.value("getComputedStyle(document.querySelector('#x')).color") != "rgb(255, 0, 0)"
    # By the header, and by the page's own word.
    assert len(refused(page)) == 2


def test_the_script_sorts_tables_and_reads_values_off(page: Page, served: str) -> None:
    page.go(f"{served}/own")
    names = "[...document.querySelectorAll('.summary tbody th a')].map(one => one.textContent)"
    press = "document.querySelectorAll('.summary thead button')[1].click()"
    page.value(press)
    assert page.value(names) == ["b", "b", "a", "a", "c", "c"]
    page.value(press)
    assert page.value(names) == ["c", "c", "a", "a", "b", "b"]
    above = (
        "[...document.querySelectorAll('.why')].map(row => row.previousElementSibling.className)"
    )
    assert set(page.value(above)) == {"doubted"}
    page.value(
        """{const drawing = document.querySelector('svg[data-axes^="linear"]');
        const frame = drawing.getBoundingClientRect();
        drawing.dispatchEvent(new PointerEvent('pointermove',
          {clientX: frame.left + frame.width * .6, clientY: frame.top + frame.height / 2}))}"""
    )
    told = page.value("document.querySelector('.tip').textContent")
    value, share = re.fullmatch(r"([\d.]+) ms, ([\d.]+) %", told).groups()  # type: ignore[union-attr]
    # Of a model whose runs are spread evenly over 0.2 ms the share tells the time.
    at_ms = float(value) - float(page.value("document.querySelector('.key b').textContent")[:-3])
    assert float(share) == pytest.approx(50 + 500 * at_ms, abs=6)


def test_a_strangers_policy_leaves_it_readable(page: Page, served: str) -> None:
    page.go(f"{served}/strangers")
    check_readable(page)
    assert len(refused(page)) == 2
    assert page.value("document.querySelectorAll('button').length") == 0


def test_without_script_and_network_it_is_the_same(page: Page, html: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(html)
    page.ask("Emulation.setScriptExecutionDisabled", value=True)
    page.ask(
        "Network.emulateNetworkConditions",
        offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
    )  # fmt: skip
    page.go(file.as_uri())
    check_readable(page)
    assert requests(page) == [file.as_uri()]
    assert page.value("document.querySelectorAll('button').length") == 0
