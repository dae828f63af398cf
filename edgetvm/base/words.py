"""Words from files of others: none of them is obeyed."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line without control, direction or other invisible characters.

    A terminal would obey them and XML forbids some; each becomes U+FFFD.
    """
    one_line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in one_line)
