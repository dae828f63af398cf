"""Words of a text that grows at its end, is mended there, and loses its begin."""

from __future__ import annotations

from collections.abc import Sequence


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
    """How many of the first words of `now` were there before: at the begin, or at the end."""
    both = zip(before, now, strict=False)
    same = next((at for at, (one, other) in enumerate(both) if one != other), None)
    prefix = min(len(before), len(now)) if same is None else same
    ends = (count for count in range(len(now), 0, -1) if before[-count:] == now[:count])
    return max(prefix, next(ends, 0))
