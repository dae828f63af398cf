"""The page of a running signal: it asks only the server that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetvm.report.page import environment


def render_live_page(nonce: str, told: Mapping[str, Any]) -> str:
    """The page as one HTML text.

    Args:
        nonce: that the server's content security policy lets its script run by.
        told: of the model: `model`, `name`, `description`, `sample_rate_hz`, `hop_samples` and
            `deadline_ms`.
    """
    return environment().get_template("live.html.j2").render(nonce=nonce, told=told)


def chunks_script() -> str:
    """The audio worklet of that page: it hands on a signal in chunks."""
    return environment().get_template("chunks.js").render()
