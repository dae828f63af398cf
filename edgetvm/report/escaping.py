"""Text of others in Markdown and CSV: nothing in it is obeyed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from edgetvm.base.words import printable

_MARKDOWN = re.compile(r"[\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def markdown_text(text: str) -> str:
    """Words as they are, in Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(text, quote=False))


def markdown_section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a heading with a table."""
    table = [" | ".join(head), "|".join(["---"] * len(head))]
    table += [" | ".join(markdown_text(cell) for cell in row) for row in rows]
    return [f"## {markdown_text(title)}", "", *(f"| {line} |" for line in table)]


def csv_cell(value: object) -> object:
    """A cell that no spreadsheet runs as a formula; of None an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        clean = printable(value)
        return f"'{clean}" if clean.startswith(("=", "+", "-", "@")) else clean
    return value
