"""Texts as numbers: pieces as BERT's own tokeniser cuts them, words, and reviews of others."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.base.paths import shipped_folder
from edgetvm.recipes import Sample, load_recipe, prepare, run_module, samples, with_folder

sentiment = run_module(shipped_folder("recipes") / "text" / "sentiment.py")

# What tokenizers 0.23.3 cuts with the tokenizer.json of all-MiniLM-L6-v2.
PIECES = {
    "Witty, touching and well-paced!": "witty , touching and well - paced !",
    "Björk's naïveté—$100 off": "b ##jo ##rk ' s naive ##te — $ 100 off",
    "unbelievably": "un ##bel ##ie ##va ##bly",
    "İstanbul ﬁne «sí» e\u0301": "istanbul ﬁ ##ne « si » e",
    "a\tb\u200bc\u00adx \ufffd tail": "a bc ##x tail",
    "x" * 120 + " ok": "[UNK] ok",
    " \n ": "",
}


@pytest.mark.parametrize("text", PIECES)
def test_pieces_are_those_of_berts_own_tokeniser(text: str) -> None:
    assert " ".join(sentiment.pieces_of(text, sentiment.known_pieces())) == PIECES[text]


@given(st.text(max_size=200))
def test_any_text_fills_the_inputs(text: str) -> None:
    numbers, mask = sentiment.piece_numbers(text, 16)
    assert numbers.shape == mask.shape == (1, 16)
    length = int(mask.sum())
    assert (numbers[0, 0], numbers[0, length - 1]) == (101, 102)  # [CLS] and [SEP]
    assert not numbers[0, length:].any()
    words = sentiment.word_numbers(text, {"a": 2}, 16)
    assert words.shape == (1, 16)
    assert (np.diff((words[0] > 0).astype(int)) >= 0).all()  # padding only before words


def test_the_end_of_a_text_is_what_the_words_keep() -> None:
    known = {"not": 2, "bad": 3, "!": 4, "don't": 5}
    assert sentiment.word_numbers("Not bad!", known, 5).tolist() == [[0, 0, 2, 3, 4]]
    assert sentiment.word_numbers("a b don\u2019t bad!", known, 3).tolist() == [[5, 3, 4]]


def test_reviews_as_hugging_face_writes_them(tmp_path: Path) -> None:
    rows = [{"text": "a fine film", "label": 1}, {"text": "dull", "label": 0}]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "train.jsonl").write_text("not read")
    recipe = with_folder(load_recipe("text/sentiment-lstm"), tmp_path)
    found = samples(recipe)
    assert [one.label for one in found] == ["positive", "negative"]
    assert prepare(recipe, found[1])["words"].shape == (1, 40)
    for wrong in ('{"text": "a", "label": 2}', "[1]", '{"label": 1}', "{"):
        (tmp_path / "test.jsonl").write_text(wrong)
        with pytest.raises(ConfigurationError, match=r"label|JSON"):
            samples(recipe)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(ConfigurationError, match="no test set"):
        samples(recipe)


def test_reviews_in_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "test-00000-of-00001.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ConfigurationError, match="not a Parquet file"):
        sentiment.reviews(folder=str(tmp_path))
    parquet.write_table(pa.table({"text": ["good", "bad"], "label": [1, 0]}), path)
    found = sentiment.reviews(folder=str(tmp_path))
    assert [(one.attributes["text"], one.label) for one in found] == [
        ("good", "positive"),
        ("bad", "negative"),
    ]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingToolError, match=r"edgetvm\[data\]"):
        sentiment.reviews(folder=str(tmp_path))


def test_the_shipped_reviews_are_of_both_kinds() -> None:
    found = sentiment.reviews()
    assert len(found) == 500
    assert 200 < sum(one.label == "positive" for one in found) < 300
    head = {"461": sentiment._head()[0][None]}
    recipe = load_recipe("text/sentiment-minilm")
    said = sentiment.sentence_sentiment(recipe, head, Sample("a", {}), output="461")
    assert [one["label"] for one in said["classes"]] == ["positive", "negative"]
    assert sum(one["score"] for one in said["classes"]) == pytest.approx(1)
