"""Handwritten digits: those of the UCI set that took no part in training, and MNIST's own files."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.recipes import DATA, METRICS, Prediction, Sample

Bytes = NDArray[np.uint8]

HELD_OUT = Path(__file__).resolve().parent / "digits.npz"
SIZE = 28  # pixels of MNIST's pictures on a side; the digit fills the inner 20

_PICTURES, _LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def drawn(small: Bytes) -> Bytes:
    """8 x 8 pictures of 0..16, as scikit-learn has them, in MNIST's form: 28 x 28 of 0..255."""
    from PIL import Image

    whole = np.zeros((len(small), SIZE, SIZE), np.uint8)
    for at, one in enumerate(small):
        picture = Image.fromarray(np.round(one * (255 / 16)).astype(np.uint8))
        whole[at, 4:24, 4:24] = picture.resize((20, 20), Image.Resampling.BICUBIC)
    return whole


def read_idx(path: Path) -> Bytes:
    """The array of a file in MNIST's format, compressed or not.

    Source: http://yann.lecun.com/exdb/mnist/, the IDX file format.

    Raises:
        ConfigurationError: it is no such file of bytes, or is cut off.
        StorageError: it cannot be read.
    """
    with read_errors(path):
        data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        kind, axes = struct.unpack(">xxBB", data[:4])
        shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        if kind != 8:
            raise ValueError("its numbers are no bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise ConfigurationError(
            f"not a file of MNIST's: {error}", where=str(path), mend="get it again"
        ) from error


def _in(folder: Path, name: str) -> Path:
    found = [path for path in sorted(folder.rglob(f"{name}*")) if path.suffix in ("", ".gz")]
    if not found:
        raise ConfigurationError(
            f"no file {name}",
            where=str(folder),
            mend="name the folder that torchvision.datasets.MNIST(FOLDER, download=True) fills, "
            "or one with pictures in subfolders that are called as their digits",
        )
    return found[0]


def _brought(folder: Path) -> tuple[Bytes, Bytes]:
    """Pictures and labels of MNIST's test files."""
    pictures, labels = (read_idx(_in(folder, name)) for name in (_PICTURES, _LABELS))
    if pictures.ndim != 3 or labels.shape != pictures.shape[:1]:
        raise ConfigurationError(
            f"pictures {list(pictures.shape)} and labels {list(labels.shape)} do not fit",
            where=str(folder),
            mend="get both files again",
        )
    return pictures, labels


@DATA.register("digits", gives="pictures")
def digits(
    *,
    count: Annotated[int, Field(ge=1, description="The first so many.")] = 360,
    folder: Annotated[
        str | None, Field(description="With MNIST's test files, as torchvision keeps them.")
    ] = None,
) -> tuple[Sample, ...]:
    """Pictures of digits that no training saw; those of UCI's set with what PyTorch answers."""
    if folder is not None:
        pictures, labels = _brought(Path(folder))
        logits = None
    else:
        with np.load(HELD_OUT, allow_pickle=False) as held:
            pictures, labels, logits = drawn(held["pictures"]), held["labels"], held["logits"]
    return tuple(
        Sample(
            f"digit {at}",
            np.repeat(picture[:, :, np.newaxis], 3, axis=2),
            int(label),
            {} if logits is None else {"pytorch": [float(one) for one in logits[at]]},
        )
        for at, (picture, label) in enumerate(zip(pictures[:count], labels[:count], strict=True))
    )


def _with_pytorch(
    predictions: Sequence[Prediction], samples: Sequence[Sample]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Scores by class, and PyTorch's, of the samples that have these."""
    pairs = []
    for found, sample in zip(predictions, samples, strict=True):
        if "pytorch" in sample.attributes:
            by_class = sorted(found["classes"], key=lambda one: int(one["index"]))
            scores = np.array([one["score"] for one in by_class])
            pairs.append((scores, np.array(sample.attributes["pytorch"])))
    return pairs


@METRICS.register("pytorch_score_error", reads="top-k", best=0.0, whole=True)
def pytorch_score_error(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """The largest distance of a score from the one that PyTorch gave; with `k: 10`."""
    pairs = _with_pytorch(predictions, samples)
    return max((float(np.abs(ours - theirs).max()) for ours, theirs in pairs), default=0.0)


@METRICS.register("pytorch_agreement_pct", reads="top-k", best=100.0, whole=True)
def pytorch_agreement_pct(predictions: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    """Percent of pictures that are taken for the digit that PyTorch takes them for."""
    pairs = _with_pytorch(predictions, samples)
    same = [int(ours.argmax()) == int(theirs.argmax()) for ours, theirs in pairs]
    return 100 * sum(same) / len(same) if same else 100.0
