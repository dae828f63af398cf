"""Power control: real commands, a real HTTP server, a folder laid out as /sys/class/gpio."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardError, ConfigurationError
from edgetvm.farm import Board
from edgetvm.farm.power import Power, PowerCommand, PowerGpio, PowerHttp, gpio, http
from edgetvm.farm.powering import set_power


class Outlet(BaseHTTPRequestHandler):
    """A power strip with one outlet, as Shelly's answer."""

    on = False
    asked: list[str] = []  # noqa: RUF012 - of the class on purpose
    authorization = "Basic ZWRnZTpzM2NyZXQ="  # edge:s3cret

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") != self.authorization:
            self.send_error(401)
            return
        if "turn=" in self.path:
            type(self).on = self.path.endswith("on")
        body = f'{{"ison":{str(self.on).lower()}}}'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def strip() -> Iterator[str]:
    """The URL of a power strip that runs."""
    Outlet.on, Outlet.asked = False, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Outlet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/relay/0"
        server.shutdown()


def shelly(url: str, **others: str) -> Power:
    return Power.__pydantic_validator__.validate_python(
        {
            "http": {
                "on": f"{url}?turn=on",
                "off": f"{url}?turn=off",
                "status": url,
                "when_on": '"ison":true',
                "user": "edge",
                "password": {"env": "STRIP"},
                **others,
            }
        }
    )


def powered(power: Power) -> Board:
    return Board("kitchen", "rpi4", power=power)


def test_a_power_strip(strip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIP", "s3cret")
    board = powered(shelly(strip))
    assert set_power(board, "status") == "off"
    assert set_power(board, "on") == "on"
    assert set_power(board, "status") == "on"
    assert set_power(board, "cycle") == "on"
    assert Outlet.asked[-4:] == [
        "GET /relay/0?turn=off",
        "GET /relay/0",
        "GET /relay/0?turn=on",
        "GET /relay/0",
    ]
    assert set_power(powered(shelly(strip, method="POST")), "off") == "off"
    assert "POST /relay/0?turn=off" in Outlet.asked


def test_a_power_strip_that_refuses(strip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigurationError, match=r"kitchen.*STRIP is not set \(set it: export STRIP"
    ):
        set_power(powered(shelly(strip)), "on")
    monkeypatch.setenv("STRIP", "wrong")
    with pytest.raises(BoardError, match=r"board kitchen.*refuses: 401 .*check user") as caught:
        set_power(powered(shelly(strip)), "on")
    assert "wrong" not in str(caught.value)


def test_a_power_strip_that_lies(strip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIP", "s3cret")
    monkeypatch.setattr("edgetvm.farm.powering._SETTLED_WITHIN_S", 0.3)
    board = powered(shelly(strip, when_on="ison"))
    with pytest.raises(BoardError, match="its power is still on after it was switched off"):
        set_power(board, "off")


def test_a_power_strip_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(BoardError, match=r"does not answer: .*refused"):
            set_power(powered(Power(http=PowerHttp(url, url))), "on")


def test_a_power_strip_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sends a byte now and then is silent, too: the deadline is of the whole answer."""
    monkeypatch.setattr(http, "_DEADLINE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        with pytest.raises(BoardError, match="no answer within"):
            set_power(powered(Power(http=PowerHttp(url, url))), "on")


def drip(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        stop = threading.Event()
        while not stop.wait(0.1):
            try:
                connection.sendall(b".")
            except OSError:
                return


def test_commands(tmp_path: Path) -> None:
    mark = tmp_path / "power is on"
    quoted = shlex.quote(str(mark))
    board = powered(
        Power(command=PowerCommand(f"touch {quoted}", f"rm {quoted}", f"test -e {quoted}"))
    )
    assert set_power(board, "on") == "on"
    assert mark.exists()
    assert set_power(board, "off") == "off"
    assert not mark.exists()
    with pytest.raises(BoardError, match=r"power command .*ends with 1: .*No such file"):
        set_power(board, "off")
    silent = powered(Power(command=PowerCommand("true", "true")))
    assert set_power(silent, "status") == "unknown"
    assert set_power(silent, "on") == "on"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program --on", "cannot be run: no such file"),
        ("echo 'unclosed", "cannot be run: no closing quotation"),
        (f"{sys.executable} -c 'raise SystemExit(7)'", "ends with 7"),
    ],
)
def test_commands_that_fail(command: str, words: str) -> None:
    with pytest.raises(BoardError, match=words) as caught:
        set_power(powered(Power(command=PowerCommand(command, "true"))), "on")
    assert str(caught.value).startswith("board kitchen: the power command ")


@pytest.mark.parametrize("active_low", [False, True])
def test_a_gpio_line(tmp_path: Path, active_low: bool) -> None:
    """The kernel's files: `direction` takes high and low, `value` tells."""
    line = tmp_path / "gpio17"
    line.mkdir()
    power = PowerGpio(17, active_low)
    gpio.switch(power, True, tmp_path)
    assert (line / "direction").read_text() == ("low" if active_low else "high")
    gpio.switch(power, False, tmp_path)
    assert (line / "direction").read_text() == ("high" if active_low else "low")
    (line / "value").write_text("1\n")
    assert gpio.is_on(power, tmp_path) is not active_low


def test_gpio_lines_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"has no GPIO lines in /sys.*`command` with gpioset"):
        gpio.switch(PowerGpio(17), True, tmp_path / "none")
    (tmp_path / "export").mkdir()  # what cannot be written
    with pytest.raises(BoardError, match=r"export: the GPIO line cannot be used: is a directory"):
        gpio.switch(PowerGpio(17), True, tmp_path)


def test_a_board_without_power_control() -> None:
    with pytest.raises(ConfigurationError, match="does not say how its power is switched"):
        set_power(Board("kitchen", "rpi4"), "on")
