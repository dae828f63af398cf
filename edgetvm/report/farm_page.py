"""The farm's page: it loads nothing, and asks only the server that it came from."""

from __future__ import annotations

from edgetvm.report.page import environment


def render_farm_page(nonce: str, *, may_act: bool) -> str:
    """The page as one HTML text; its script fills it with what `api/events` tells.

    Args:
        nonce: that the server's content security policy lets its script run by.
        may_act: whether boards may be taken from their holders there, by those who have the token.
    """
    return environment().get_template("farm.html.j2").render(nonce=nonce, may_act=may_act)
