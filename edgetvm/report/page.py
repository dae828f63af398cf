"""What all pages share: words and figures for their templates, one style and one script.

A page loads nothing. Its own policy tells a browser so, and names style and script by their hashes:
nothing else in it is obeyed, not even a style that stands at an element.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING

from edgetvm.base.units import format_bytes, format_duration, format_ms
from edgetvm.base.words import plural, told_nodes
from edgetvm.report.words import format_error, format_factor, format_figure, shown, told_error

if TYPE_CHECKING:
    from jinja2 import Environment

_NAME_SPACE = ' xmlns="http://www.w3.org/2000/svg"'
_ERROR = re.compile(r"\d\.\de-\d+")


def environment() -> Environment:
    """Templates of reports, with the words and figures that they may use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("edgetvm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "ms": format_ms,
        "bytes": format_bytes,
        "duration": format_duration,
        "error": format_error,
        "told_error": told_error,
        "factor": format_factor,
        "figure": format_figure,
        "shown": shown,
        "plural": plural,
        "nodes": told_nodes,
        "unbroken": _unbroken,
        "drawing": _inside_html,
    }
    return jinja


def render(template: str, *, pictures: bool = False, **values: object) -> str:
    """A page by its template, which extends `page.html.j2`.

    Args:
        pictures: whether it holds some, as `data:` addresses.
    """
    from markupsafe import Markup

    style, script = (Markup(_text(name)) for name in ("page.css", "page.js"))  # noqa: S704
    return (
        environment()
        .get_template(template)
        .render(style=style, script=script, policy=content_policy(pictures), **values)
    )


@cache
def content_policy(pictures: bool = False) -> str:
    """What a browser may do with a page: nothing but use its own style and script, and pictures.

    Source: W3C, Content Security Policy Level 3, section 2.3.1 (hash-source).
    """
    style, script = (_hash(_text(name)) for name in ("page.css", "page.js"))
    images = "; img-src data:" if pictures else ""
    return f"default-src 'none'; style-src '{style}'; script-src '{script}'{images}"


@cache
def _text(name: str) -> str:
    jinja = environment()
    assert jinja.loader is not None  # noqa: S101
    return jinja.loader.get_source(jinja, name)[0]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inside_html(drawing: str) -> str:
    """A drawing of charts, which escape what they are given; HTML knows its name space."""
    from markupsafe import Markup

    return Markup(drawing.replace(_NAME_SPACE, "", 1))  # noqa: S704


def _unbroken(text: str) -> str:
    """`text` with its errors held together: browsers break `1.2e-06` at the hyphen."""
    from markupsafe import Markup, escape

    return Markup(_ERROR.sub(r'<span class="n">\g<0></span>', str(escape(text))))  # noqa: S704
