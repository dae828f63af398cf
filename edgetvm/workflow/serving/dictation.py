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
        found = settled[_known(self._settled, settled) :]
        # What is only doubted anew was told already.
        if stays or self._settled[: len(settled)] != settled:
            self._settled = settled
        self._words = words
        return found


def _known(before: Sequence[str], now: Sequence[str]) -> int:
    """How many of the first words of `now` were told: all up to the last that was there before.

    The first may be new and yet be none: the signal now begins in the midst of a word.
    """
    matching = SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
    return max((same.b + same.size for same in matching if same.size), default=0)
