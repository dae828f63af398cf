"""The page that says of a text what it is: it asks only the server that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetvm.report.page import environment


def render_text_page(nonce: str, told: Mapping[str, Any]) -> str:
    """The page as one HTML text.

    Args:
        nonce: that the server's content security policy lets its script run by.
        told: of the model: `model`, `name` and `description`.
    """
    return environment().get_template("text.html.j2").render(nonce=nonce, told=told)
