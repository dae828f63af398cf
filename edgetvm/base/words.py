"""Words for people: those from files of others, none of which is obeyed, and our own."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """`text` on one line without control, direction or other invisible characters.

    A terminal would obey them and XML forbids some; each becomes U+FFFD.
    """
    one_line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in one_line)


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def in_vain(wait_s: float) -> str:
    """`became free within 5 s`, or `is free now` for who did not want to wait: after a negation."""
    return f"became free within {wait_s:g} s" if wait_s else "is free now"


_MOST_NODES = 4
_LONGEST_NODE = 40


def told_nodes(calls: Sequence[Sequence[str]]) -> str:
    """What a kernel's first call computes, and in how many other places: `conv1 + relu1, 2 more`.

    Names of fused nodes list all that went into them: each is cut, and keeps its end, which is
    where names differ.
    """
    first = calls[0] if calls else ()
    cut = [
        node if len(node) <= _LONGEST_NODE else f"…{node[1 - _LONGEST_NODE :]}" for node in first
    ]
    shown = cut if len(cut) <= _MOST_NODES else [*cut[: _MOST_NODES - 1], "…", cut[-1]]
    told = " + ".join(shown) or "none of the source"
    return told if len(calls) < 2 else f"{told}, {len(calls) - 1} more"
