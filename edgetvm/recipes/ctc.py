"""Text from distributions over letters, one for each step of time: best path and beam search.

Source: Graves et al., Connectionist Temporal Classification, ICML 2006; the search by prefixes is
that of Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs, 2014, without a language model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.data import Array, Sample
from edgetvm.recipes.postprocess import Output, Prediction, chosen_output, unfit
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import POSTPROCESS

Steps = NDArray[np.float64]

_NEVER = float("-inf")
# Of a step, letters less likely than this are not followed: e^-12 is one in 160,000.
_LEAST = -12.0


def best_path(steps: Steps, blank: int) -> list[int]:
    """The letters of the likeliest class of each step, repeated ones once, blanks left out.

    Args:
        steps: `[steps, classes]`, logarithms of probabilities or whatever grows with them.
    """
    best = steps.argmax(axis=1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return [int(one) for one in best[changed & (best != blank)]]


def beam_search(
    steps: Steps,
    blank: int,
    width: int,
    allows: Callable[[tuple[int, ...]], bool] | None = None,
) -> list[int]:
    """The likeliest letters, where all ways through the steps that spell them count.

    Args:
        steps: `[steps, classes]`, logarithms of probabilities.
        width: prefixes that are kept from step to step.
        allows: whether letters may be the beginning of a text; all may without it.
    """
    # Of each prefix: how likely it is with a blank at the end, and without.
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}
    for step in steps:
        ways: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [_NEVER, _NEVER])
        letters = [int(one) for one in np.flatnonzero(step > _LEAST) if one != blank]
        for prefix, (with_blank, without) in beam.items():
            either = np.logaddexp(with_blank, without)
            _more(ways[prefix], 0, either + step[blank])
            for letter in letters:
                repeats = bool(prefix) and prefix[-1] == letter
                if repeats:
                    _more(ways[prefix], 1, without + step[letter])
                longer = (*prefix, letter)
                if allows is None or allows(longer):
                    before = with_blank if repeats else either
                    _more(ways[longer], 1, before + step[letter])
        likely = {prefix: np.logaddexp(way[0], way[1]) for prefix, way in ways.items()}
        kept = sorted(likely, key=lambda prefix: -likely[prefix])[:width]
        beam = {prefix: (ways[prefix][0], ways[prefix][1]) for prefix in kept}
    return list(next(iter(beam)))


def _more(way: list[float], place: int, logarithm: float) -> None:
    way[place] = float(np.logaddexp(way[place], logarithm))


class Words:
    """The texts that words of a vocabulary make, with a space between them or without."""

    def __init__(self, words: Sequence[str], letters: Sequence[str]) -> None:
        """Take the vocabulary, and the letter of each class."""
        beginnings = {word[:end] for word in words for end in range(1, len(word))}
        whole, begun = ("|".join(map(re.escape, sorted(one))) for one in (words, beginnings))
        self._text = re.compile(f"(?:(?:{whole}) ?)*(?:{begun})?")
        self._word = re.compile(whole)
        self._letters = letters

    @lru_cache(maxsize=1 << 16)  # noqa: B019 - it lives as long as one call of a postprocess
    def begin(self, classes: tuple[int, ...]) -> bool:
        """Whether letters may be the beginning of such a text."""
        return self._text.fullmatch("".join(self._letters[one] for one in classes)) is not None

    def parted(self, text: str) -> str:
        """A text with spaces between its words; one that was only begun is left out."""
        return " ".join(self._word.findall(text))


@POSTPROCESS.register("ctc-letters", like="ctc-text")
def ctc_letters(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    letters: Annotated[
        tuple[str, ...], Field(min_length=1, description="Of each class; empty for the blank.")
    ],
    beam: Annotated[
        int, Field(ge=1, description="Prefixes that the search keeps; 1 is the best path.")
    ] = 1,
    words: Annotated[
        tuple[str, ...] | None,
        Field(description="All that may be said; no word begins with another one."),
    ] = None,
    output: Output = None,
) -> Prediction:
    """Text from one distribution over letters a step. Of a stream, each window's middle counts.

    `text`, and `score`: the mean probability of the likeliest class of each step.
    """
    found = chosen_output(recipe, outputs, output).astype(np.float64)
    if recipe.stream is not None and found.ndim == 4:
        found = _middles(found[:, 0], recipe.stream.hop_samples / recipe.stream.window_samples)
    elif found.ndim == 3 and len(found) == 1:
        found = found[0]
    else:
        raise unfit(recipe, found, "distributions [1, steps, classes]")
    if found.shape[1] != len(letters) or letters.count("") != 1:
        raise ConfigurationError(
            f"{len(letters)} letters for {found.shape[1]} classes",
            where=f"recipe {recipe.name}: postprocess.letters",
            mend="give one for each class, and an empty one for the blank",
        )
    steps = found - np.logaddexp.reduce(found, axis=1, keepdims=True)
    blank = letters.index("")
    known = Words(words, letters) if words else None
    if beam == 1 and known is None:
        said = best_path(steps, blank)
    else:
        said = beam_search(steps, blank, beam, known.begin if known else None)
    text = " ".join("".join(letters[one] for one in said).split())
    text = known.parted(text) if known else text
    return {"text": text, "score": float(np.exp(steps.max(axis=1)).mean()) if len(steps) else 0.0}


def _middles(windows: Steps, hop: float) -> Steps:
    """The steps in the middle of each window, where it hears what was before and what comes after.

    Of the last window all that follows, too: nothing comes after it. What lies before the signal's
    first sample is left out.
    """
    count = windows.shape[1]
    new = round(count * hop)
    begin = (count - new) // 2
    parts = [*windows[:-1, begin : begin + new], windows[-1, begin:]]
    found: Steps = np.concatenate(parts)[begin:]
    return found
