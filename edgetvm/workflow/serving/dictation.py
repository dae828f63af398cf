"""Words of a text that grows at its end, is mended there, and loses its begin."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher


class Dictation:
    """Tells each word once, when it is settled: others follow, or the text stays as it is."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._settled: list[str] = []

    def heard(self, text: str) -> list[str]:
        """The words that this text settles.

        Args:
            text: of the last seconds.
        """
        words = text.split()
        stays = words == self._words
        settled = words if stays else words[:-1]
        told, known = _in_common(self._settled, settled)
        found = settled[known:]
        # What is only doubted anew was told already.
        doubted = [] if stays or found else self._settled[told:]
        self._settled = [*settled, *doubted]
        self._words = words
        return found


def _in_common(before: Sequence[str], now: Sequence[str]) -> tuple[int, int]:
    """How many words of each there are up to the last that both have.

    The first of `now` may be new and yet be none: the signal now begins in the midst of a word.
    """
    matching = SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
    ends = [(same.a + same.size, same.b + same.size) for same in matching if same.size]
    return ends[-1] if ends else (0, 0)
