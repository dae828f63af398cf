"""CTC's best path and beam search against the sum over all ways."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes import ModelFile, Processing, Recipe, Sample, StreamSpec, interpret
from edgetvm.recipes.ctc import beam_search, best_path

LETTERS = ("", "a", "b", " ")


def collapsed(way: tuple[int, ...]) -> tuple[int, ...]:
    changed = [one for at, one in enumerate(way) if at == 0 or way[at - 1] != one]
    return tuple(one for one in changed if one != 0)


def likeliest_of_all(steps: Any) -> tuple[int, ...]:
    sums: dict[tuple[int, ...], float] = defaultdict(float)
    for way in product(range(steps.shape[1]), repeat=len(steps)):
        sums[collapsed(way)] += float(np.prod([steps[at, one] for at, one in enumerate(way)]))
    return max(sums, key=lambda letters: sums[letters])


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_a_wide_beam_finds_what_is_likeliest_over_all_ways(seed: int, count: int) -> None:
    steps = np.random.default_rng(seed).dirichlet([0.5] * 3, count) + 1e-4
    steps /= steps.sum(axis=1, keepdims=True)
    found = beam_search(np.log(steps), blank=0, width=1000)
    assert tuple(found) == likeliest_of_all(steps)


def test_the_best_path_can_miss_what_the_beam_finds() -> None:
    # Blank is likeliest in both steps, "a" in one of them is likelier still: .4 + .24 against .36.
    steps = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert best_path(steps, 0) == []
    assert beam_search(steps, 0, 4) == [1]


def test_a_blank_parts_doubled_letters() -> None:
    way = [1, 1, 0, 1, 2, 2, 0, 0]
    steps = np.log(np.eye(3)[way] * 0.97 + 0.01)
    assert best_path(steps, 0) == beam_search(steps, 0, 8) == [1, 1, 2]


def told(steps: Any, **keys: Any) -> str:
    recipe = Recipe(
        "test",
        "test",
        "test",
        "MIT",
        ModelFile(path=Path("m.onnx")),
        postprocess=Processing("ctc-letters", {"letters": LETTERS, **keys.pop("parameters", {})}),
        **keys,
    )
    return str(interpret(recipe, {"y": steps}, Sample("s", np.zeros(1)))["text"])


def test_windows_of_a_stream_read_as_the_whole() -> None:
    way = np.array([0, 0, 1, 1, 0, 2, 3, 0, 1, 0, 2, 2])
    whole = np.log(np.eye(4)[way] + 1e-3)
    text = told(whole[np.newaxis])
    assert text == "ab ab"
    # Windows of 6 steps every 2: each knows only its own, and one more hop of silence follows.
    padded = np.pad(way, (4, 0))
    starts = range(0, len(padded) - 5, 2)
    windows = np.stack([np.log(np.eye(4)[padded[at : at + 6]] + 1e-3) for at in starts])
    assert told(windows[:, np.newaxis], stream=StreamSpec(100, 6, 2, "x")) == text
    assert told(windows[:, np.newaxis], stream=StreamSpec(100, 6, 2, "x"), parameters={"beam": 4})


def test_with_a_vocabulary_only_its_words_are_read() -> None:
    # Letter by letter "ba" is likeliest; of the words it is "ab" twice, whose space is not heard.
    way = np.array([1, 2, 2, 1, 0, 2])
    steps = np.log(np.eye(4)[way] * 0.6 + 0.1)
    steps[2, 1] += 0.5
    assert told(steps[np.newaxis]) == "abab"
    parameters = {"words": ("ab",), "beam": 16}
    assert told(steps[np.newaxis], parameters=parameters) == "ab ab"
    # A word that was only begun is none.
    assert told(steps[np.newaxis, :4], parameters=parameters) == "ab"


def test_letters_must_fit_the_classes() -> None:
    with pytest.raises(ConfigurationError, match="4 letters for 3 classes"):
        told(np.zeros((1, 2, 3)))
