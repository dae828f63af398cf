"""Whether a review praises or pans: its words, or word pieces, as the inputs of two networks."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.base.files import read_errors
from edgetvm.recipes import DATA, POSTPROCESS, PREPROCESS, Prediction, Recipe, Sample

LABELS = ("negative", "positive")

_HERE = Path(__file__).resolve().parent
REVIEWS, WORDS, PIECES, HEAD = (
    _HERE / name
    for name in ("reviews.jsonl", "words.txt", "wordpieces.txt.gz", "sentiment-minilm.npz")
)
_SUBFOLDERS = {"neg": 0, "pos": 1}
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+|[!?.,;]")
_PADDING, _UNKNOWN = 0, 1
_LONGEST_PIECE = 100


# --- Words ----------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """The words, numbers and stops of a text, in small letters."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


@cache
def _known_words() -> Mapping[str, int]:
    lines = WORDS.read_text(encoding="utf-8").split()
    return {word: number for number, word in enumerate(lines, start=_UNKNOWN + 1)}


def word_numbers(text: str, known: Mapping[str, int], length: int) -> NDArray[np.int64]:
    """The last words as numbers, [1, length]; padding comes before them, so that the end counts."""
    numbers = [known.get(word, _UNKNOWN) for word in words_of(text)][-length:]
    return np.array([[_PADDING] * (length - len(numbers)) + numbers], np.int64)


# --- Word pieces ----------------------------------------------------------------------------------


@cache
def known_pieces() -> Mapping[str, int]:
    """BERT's vocabulary of small letters."""
    with gzip.open(PIECES, "rt", encoding="utf-8") as file:
        return {line.rstrip("\n"): number for number, line in enumerate(file)}


def pieces_of(text: str, known: Mapping[str, int]) -> list[str]:
    """The word pieces of a text, each the longest that is known.

    Source: Wu et al., Google's Neural Machine Translation System, 2016; BERT's uncased tokeniser.
    """
    return [piece for word in _plain_words(text) for piece in _pieces_of_word(word, known)]


def _plain_words(text: str) -> Iterator[str]:
    """Words in small letters without accents; stops, symbols and Chinese characters alone."""
    letters = unicodedata.normalize("NFD", text.lower())
    spaced = "".join(_spaced(letter) for letter in letters)
    yield from spaced.split()


def _spaced(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind == "Mn":
        return ""
    if letter == "\ufffd" or (kind[0] == "C" and letter not in "\t\n\r"):
        return ""
    if letter.isspace():
        return " "
    is_symbol = letter.isascii() and letter.isprintable() and not letter.isalnum()
    alone = is_symbol or kind.startswith("P") or "\u4e00" <= letter <= "\u9fff"
    return f" {letter} " if alone else letter


def _pieces_of_word(word: str, known: Mapping[str, int]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((at for at in ends if mark + word[start:at] in known), None)
        if end is None or len(word) > _LONGEST_PIECE:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def piece_numbers(text: str, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first pieces as numbers between two marks, and a mask of what is none, [1, length]."""
    known = known_pieces()
    pieces = ["[CLS]", *pieces_of(text, known)[: length - 2], "[SEP]"]
    padding = length - len(pieces)
    numbers = [known[piece] for piece in pieces] + [_PADDING] * padding
    return (
        np.array([numbers], np.int64),
        np.array([[1] * len(pieces) + [0] * padding], np.int64),
    )


# --- For recipes ----------------------------------------------------------------------------------


@DATA.register("reviews")
def reviews(
    *,
    count: Annotated[int, Field(ge=1, description="The first so many.")] = 500,
    folder: Annotated[
        str | None,
        Field(
            description="With texts and labels in `*.jsonl` or `*.parquet`, as Hugging Face's "
            "datasets writes those of IMDb: `text`, and `label` 0 or 1. Or with a text in each "
            "file of its subfolders `pos` and `neg`, as IMDb's own archive has them."
        ),
    ] = None,
) -> tuple[Sample, ...]:
    """Sentences of film reviews that people judged, of which training saw none."""
    rows = _rows_of(REVIEWS) if folder is None else _rows_in(Path(folder))
    texts = [(str(row["text"]), int(row["label"])) for row in rows][:count]
    return tuple(
        Sample(f"review {at}", {}, LABELS[label], {"text": text})
        for at, (text, label) in enumerate(texts)
    )


def _rows_in(folder: Path) -> list[Mapping[str, Any]]:
    tests = [
        path
        for path in sorted(folder.rglob("*"))
        if not any("train" in part for part in path.relative_to(folder).parts)
    ]
    found = [path for path in tests if path.suffix in (".jsonl", ".parquet")]
    texts = [path for path in tests if path.suffix == ".txt" and path.parent.name in _SUBFOLDERS]
    if texts:
        return [_row_of(path) for path in _in_turn(texts)]
    if not found:
        raise ConfigurationError(
            "no test set in it",
            where=str(folder),
            mend="write one: load_dataset('imdb', split='test').to_parquet('test.parquet'), or put "
            "texts into its subfolders pos and neg",
        )
    return [row for path in found for row in _rows_of(path)]


def _in_turn(texts: list[Path]) -> list[Path]:
    """One of each subfolder at a time, so that the first ones are of both."""
    places = Counter[Path]()
    order = []
    for path in texts:
        places[path.parent] += 1
        order.append((places[path.parent], path))
    return [path for _, path in sorted(order)]


def _row_of(path: Path) -> Mapping[str, Any]:
    with read_errors(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    return {"text": text, "label": _SUBFOLDERS[path.parent.name]}


def _rows_of(path: Path) -> list[Mapping[str, Any]]:
    rows = _rows_of_parquet(path) if path.suffix == ".parquet" else _rows_of_lines(path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or row.get("label") not in (0, 1) or "text" not in row:
            raise ConfigurationError(
                "no `text` with a `label` of 0 or 1",
                where=f"{path}: row {number}",
                mend="it should be as the data set imdb of Hugging Face is",
            )
    return rows


def _rows_of_lines(path: Path) -> list[Any]:
    with read_errors(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise ConfigurationError(
            f"not lines of JSON: {error}", where=str(path), mend="write it with to_json"
        ) from error


def _rows_of_parquet(path: Path) -> list[Any]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingToolError(
            "pyarrow is missing, which reads Parquet", mend="run: pip install 'edgetvm[data]'"
        ) from error
    try:
        rows: list[Any] = parquet.read_table(path, columns=["text", "label"]).to_pylist()
    except (ArrowException, OSError) as error:
        raise ConfigurationError(
            f"not a Parquet file of reviews: {error}", where=str(path), mend="see `data.folder`"
        ) from error
    return rows


Length = Annotated[int, Field(ge=4, description="Of the input; longer texts are cut.")]


@PREPROCESS.register("words", needs_text=True)
def words(recipe: Recipe, sample: Sample, *, length: Length = 40) -> dict[str, NDArray[np.int64]]:
    """A text as numbers of its words."""
    return {"words": word_numbers(sample.attributes["text"], _known_words(), length)}


@PREPROCESS.register("word-pieces", needs_text=True)
def word_pieces(
    recipe: Recipe, sample: Sample, *, length: Length = 48
) -> dict[str, NDArray[np.int64]]:
    """A text as numbers of its word pieces, for BERT and its like."""
    numbers, mask = piece_numbers(sample.attributes["text"], length)
    return {"input_ids": numbers, "attention_mask": mask}


@cache
def _head() -> tuple[NDArray[np.float64], float]:
    with np.load(HEAD, allow_pickle=False) as file:
        return file["weight"], float(file["bias"])


@POSTPROCESS.register("sentence-sentiment", like="top-k")
def sentence_sentiment(
    recipe: Recipe,
    outputs: Mapping[str, NDArray[Any]],
    sample: Sample,
    *,
    output: Annotated[str, Field(description="Which is the sentence's vector.")],
) -> Prediction:
    """The sentence's vector through a logistic regression that was trained on reviews."""
    weight, bias = _head()
    positive = 1 / (1 + np.exp(-(outputs[output].reshape(-1).astype(np.float64) @ weight + bias)))
    scores = (1 - positive, positive)
    best = sorted((0, 1), key=lambda index: -scores[index])
    return {
        "classes": [
            {"index": index, "label": LABELS[index], "score": float(scores[index])}
            for index in best
        ]
    }
