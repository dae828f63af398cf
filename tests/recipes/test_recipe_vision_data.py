"""CIFAR-10 and MNIST in the forms that torchvision keeps them in: read, refused, augmented."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.paths import shipped_folder
from edgetvm.recipes import load_recipe, run_module, samples, with_folder

cifar10 = run_module(shipped_folder("recipes") / "vision" / "cifar10.py")
digits = run_module(shipped_folder("recipes") / "vision" / "digits.py")

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
LABELS = [6, 0, 9]


def pickled(folder: Path, pictures: np.ndarray = PICTURES) -> None:
    """As the data set's Python 2 wrote it: text keys of bytes."""
    rows = pictures.transpose(0, 3, 1, 2).reshape(3, -1)
    batch = {b"data": rows, b"labels": LABELS, b"filenames": [b"a", b"b", b"c"]}
    (folder / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))


def records(folder: Path) -> None:
    rows = [
        bytes([label]) + one.transpose(2, 0, 1).tobytes()
        for label, one in zip(LABELS, PICTURES, strict=True)
    ]
    (folder / "test_batch.bin").write_bytes(b"".join(rows))


@pytest.mark.parametrize("write", [pickled, records])
def test_cifar_10_in_both_of_its_forms(tmp_path: Path, write: object) -> None:
    write(tmp_path)  # type: ignore[operator]
    found = samples(with_folder(load_recipe("vision/cifar10-resnet8"), tmp_path))
    assert [one.label for one in found] == LABELS
    for one, picture in zip(found, PICTURES, strict=True):
        np.testing.assert_array_equal(one.value, picture)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_what_is_no_cifar_10(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file test_batch"):
        samples(with_folder(load_recipe("vision/cifar10-resnet8"), tmp_path))
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({b"data": _Evil()}))
    with pytest.raises(ConfigurationError, match=r"wants to run builtins\.print"):
        cifar10.read_batch(path)
    batch = {b"data": PICTURES.reshape(3, -1), b"labels": [1]}
    path.write_bytes(pickle.dumps(batch))
    with pytest.raises(ConfigurationError, match="1 labels for 3 pictures"):
        cifar10.read_batch(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["test_batch", "test_batch.bin"]))
def test_any_bytes_are_cifar_10_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("cifar") / name
    path.write_bytes(data)
    try:
        pictures, labels = cifar10.read_batch(path)
    except ConfigurationError:
        return
    assert len(pictures) == len(labels)


def test_augmented_pictures_are_the_same_each_time_and_still_the_picture() -> None:
    picture = np.full((32, 32, 3), 100, np.uint8)
    picture[:, 16:] = 200
    once, again = (
        [cifar10.augmented(picture, generator) for _ in range(30)]
        for generator in (np.random.default_rng(1), np.random.default_rng(1))
    )
    np.testing.assert_array_equal(once, again)
    assert all(one.shape == (32, 32, 3) for one in once)
    # Some are mirrored, some are not; light and dark stay apart by a factor of two.
    assert {bool(one[0, 0, 0] < one[0, -1, 0]) for one in once} == {True, False}
    for one in once:
        assert int(one.max()) / int(one.min()) == pytest.approx(2, abs=0.05)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_mnist_as_torchvision_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 28, 28), np.uint8)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(pictures))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([7, 2], "u1"))))
    found = digits.digits(folder=str(tmp_path))
    assert [one.label for one in found] == [7, 2]
    np.testing.assert_array_equal(found[1].value, np.stack([pictures[1]] * 3, axis=2))


def test_what_is_no_mnist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file t10k-images-idx3-ubyte"):
        digits.digits(folder=str(tmp_path))
    path = tmp_path / "t10k-images-idx3-ubyte"
    whole = idx(np.zeros((2, 28, 28), np.uint8))
    for damaged in (b"", whole[:9], whole[:-1], b"\0\0\x0d" + whole[3:]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigurationError, match="not a file of MNIST's"):
            digits.read_idx(path)
