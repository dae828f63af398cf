"""Pages in a real browser, without a window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "google-chrome", "chromium-browser")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
)  # fmt: skip
# What a phone and a desk have room for, in CSS pixels.
WIDTHS = (360, 1200)
_LOOK = """<script>
onload = () => {
  const looks = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const sizes = [...page.querySelectorAll("svg")].map(one => one.getBoundingClientRect());
    return {
      room: root.clientWidth, needed: root.scrollWidth, text: page.body.innerText,
      drawings: sizes.map(one => [one.width, one.height]),
      scripts: page.querySelectorAll("script").length,
    };
  });
  document.body.textContent = "LOOKS" + JSON.stringify(looks) + "END";
};
</script>"""


@dataclass(frozen=True)
class Look:
    """A page as the browser lays it out.

    Attributes:
        room: width of the window, in CSS pixels.
        needed: width that the page takes; more than the room is a page that scrolls sideways.
        text: that a reader sees.
        drawings: width and height of each.
        scripts: elements that may run code.
    """

    room: int
    needed: int
    text: str
    drawings: list[list[float]]
    scripts: int


def looks(page: str, folder: Path) -> list[Look]:
    """The page in a window of each of the widths."""
    browser = next((one for one in map(shutil.which, _NAMES) if one), None)
    if browser is None:
        pytest.fail("no browser is installed: run scripts/setup test, or snap install chromium")
    frames = [
        f'<iframe style="width:{width}px;height:800px" srcdoc="{html.escape(page)}"></iframe>'
        for width in WIDTHS
    ]
    harness = folder / "harness.html"
    harness.write_text(f"<!DOCTYPE html><meta charset=utf-8>{''.join(frames)}{_LOOK}")
    done = subprocess.run(
        [browser, *_FLAGS, f"--user-data-dir={folder}", "--dump-dom", harness.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search("LOOKS(.*)END", done.stdout, re.S)
    assert found, done.stderr
    return [Look(**one) for one in json.loads(html.unescape(found.group(1)))]
