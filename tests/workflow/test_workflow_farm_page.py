"""The farm's page, served by the command, in a real browser and to strangers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_browser import page_at
from real_board import within

from benchmarks.farm.racing import offer
from edgetvm.base.errors import UsageError
from edgetvm.farm.leases import Lease, LeaseStore, Request
from edgetvm.farm.listening import listening_socket
from edgetvm.workflow.farm_serving.app import make_app

EVIL = "<script>document.title='taken'</script>"


@dataclass(frozen=True)
class Served:
    """A page that is up, and the farm that it shows."""

    port: int
    store: LeaseStore

    def ask(
        self, path: str, method: str = "GET", host: str = "127.0.0.1", **headers: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Host": host, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two boards; one is in the hands of somebody with an odd purpose."""
    folder = tmp_path_factory.mktemp("page")
    url = f"sqlite:///{folder}/farm.sqlite"
    with listening_socket() as probe:
        port = probe.getsockname()[1]
    words = ["-m", "edgetvm", "farm", "serve", "--port", str(port), "--token", "s3cret"]
    environment = {"EDGETVM_FARM": url, "XDG_DATA_HOME": str(folder)}
    with LeaseStore(url) as store:
        store.enlist("daemon", [("a", "rpi4"), ("b", "rpi4")])
        for board in ("a", "b"):
            offer(store, board)
        assert isinstance(store.ask(Request(("a",), owner="ada@desk", purpose=EVIL)), Lease)
        with subprocess.Popen(
            [sys.executable, *words], env=os.environ | environment, stderr=subprocess.DEVNULL
        ) as process:
            served = Served(port, store)
            try:
                assert within(30, lambda: _answers(served))
                yield served
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)


def _answers(served: Served) -> bool:
    try:
        return served.ask("/api/farm")[0] == 200
    except OSError:
        return False


def test_the_farm_as_json_holds_no_secret(page: Served) -> None:
    status, text, _ = page.ask("/api/farm")
    farm = json.loads(text)
    assert status == 200
    assert [one["board"] for one in farm["boards"]] == ["a", "b"]
    assert farm["boards"][0]["lease"]["owner"] == "ada@desk"
    assert farm["boards"][1]["lease"] is None
    (lease,) = page.store.seen().leases
    assert lease.secret not in text
    assert lease.key is not None
    assert lease.key not in text


def test_the_page_in_a_browser_is_live_and_obeys_nothing_that_it_shows(
    page: Served, tmp_path: Path
) -> None:
    with page_at(f"http://127.0.0.1:{page.port}/", tmp_path) as shown:

        def text() -> str:
            return str(shown.value("document.body?.innerText"))

        assert within(20, lambda: "ada@desk" in text()), text()
        assert shown.value("document.title") == "edgetvm farm", "the purpose was run"
        assert EVIL in text()
        assert shown.value("document.querySelectorAll('.state.good').length") == 2
        assert shown.value("document.getElementById('live').innerText") == "live"
        page.store.maintain("b", "a new fan", begins=True)
        assert within(10, lambda: "a new fan" in text()), "it is told without a reload"

        press = "document.querySelector('#boards tr:nth-child(2) button').click()"
        shown.value(press)
        assert within(10, lambda: "that is not the token" in text())
        shown.value("document.getElementById('token').value = 's3cret'")
        shown.value(press)
        assert within(10, lambda: page.store.seen().boards[1].verdict == "unknown"), "resumed"
        offer(page.store, "b")


def test_the_page_loads_nothing_from_elsewhere(page: Served) -> None:
    status, text, headers = page.ask("/")
    assert status == 200
    assert "http://" not in text
    assert "https://" not in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in text
    assert page.ask("/")[2]["Content-Security-Policy"] != policy


def test_events_come_one_after_the_other(page: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    connection.request("GET", "/api/events")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    for _ in range(2):
        assert answer.readline() == b"event: farm\n"
        assert json.loads(answer.readline().removeprefix(b"data: "))["boards"]
        assert answer.readline() == b"\n"
    connection.close()


def test_other_sites_names_are_not_answered(page: Served) -> None:
    assert page.ask("/api/farm", host="evil.example")[0] == 400


@pytest.mark.parametrize("deed", ["kick", "maintain", "resume"])
def test_nobody_acts_without_the_token(page: Served, deed: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        status, text, _ = page.ask(f"/api/boards/a/{deed}", "POST", **headers)
        assert status == 401
        assert json.loads(text) == {"error": "that is not the token"}
    assert page.ask(f"/api/boards/a/{deed}")[0] == 405


def test_who_has_the_token_acts(page: Served) -> None:
    bearer = {"Authorization": "Bearer s3cret"}
    (lease,) = page.store.seen().leases
    assert page.ask("/api/boards/a/kick", "POST", **bearer)[0] == 200
    assert page.store.seen().leases == ()
    (ended,) = [one for one in page.store.seen().ended if one.token == lease.token]
    assert "kicked by" in ended.reason
    status, text, _ = page.ask("/api/boards/a/kick", "POST", **bearer)
    assert status == 409
    assert "nobody has it" in text
    assert page.ask("/api/boards/b/maintain", "POST", **bearer)[0] == 200
    assert page.store.seen().boards[1].verdict == "maintenance"
    assert page.ask("/api/boards/b/resume", "POST", **bearer)[0] == 200
    assert page.ask("/api/boards/c/maintain", "POST", **bearer)[0] == 409
    assert page.ask("/api/boards/b/burn", "POST", **bearer)[0] == 404


def test_a_token_that_everybody_has_is_refused(page: Served) -> None:
    with pytest.raises(UsageError, match="the token is empty"):
        make_app(page.store, "")
