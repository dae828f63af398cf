"""Weights in files of others: read as their own library reads them, and nothing is run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgetvm.recipes.weights import safetensors, torch_weights


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_a_state_dictionary_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps(_Evil()))
    with pytest.raises(pickle.UnpicklingError, match=r"does not need builtins\.print"):
        torch_weights(path)


@pytest.mark.torch
@pytest.mark.parametrize("new", [True, False], ids=["zip", "old format"])
def test_state_dictionaries_are_read_as_torch_reads_them(tmp_path: Path, new: bool) -> None:
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    state = {"a": base, "view": base[1:3, 2:].T, "count": torch.tensor(7)}
    path = tmp_path / "state.pt"
    torch.save(state, path, _use_new_zipfile_serialization=new)
    found = torch_weights(path)
    assert set(found) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_safetensors_are_read(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    head = (
        b'{"__metadata__":{"format":"pt"},"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},'
        b'"w":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}}'
    )
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8) + array.tobytes())
    found = safetensors(path)
    assert list(found) == ["w"]
    np.testing.assert_array_equal(found["w"], array)


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def state_of_four(path: Path, offset: int, size: list[int], stride: list[int]) -> Path:
    """One tensor, of a storage of four numbers, as torch.save writes it."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    shape, steps = (b"(" + b"".join(map(number, one)) + b"t" for one in (size, stride))
    tensor = b"(" + storage + number(4) + b"tQ" + number(offset) + shape + steps + b"tR"
    pickled = b"\x80\x02}" + text("a") + b"ctorch._utils\n_rebuild_tensor_v2\n" + tensor + b"s."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/0", np.arange(4, dtype=np.float32).tobytes())
    return path


@pytest.mark.parametrize(
    ("offset", "size", "stride", "expected"),
    [(1, [3], [1], [1, 2, 3]), (0, [2, 2], [1, 2], [[0, 2], [1, 3]]), (4, [0], [1], [])],
)
def test_tensors_within_their_storage_are_read(
    tmp_path: Path, offset: int, size: list[int], stride: list[int], expected: list[object]
) -> None:
    found = torch_weights(state_of_four(tmp_path / "m.pt", offset, size, stride))
    np.testing.assert_array_equal(found["a"], expected)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(2, [3], [1]), (0, [2, 2], [1, 3]), (0, [1 << 20], [1]), (-1, [1], [1]), (3, [2], [-1])],
)
def test_tensors_out_of_their_storage_are_refused(
    tmp_path: Path, offset: int, size: list[int], stride: list[int]
) -> None:
    path = state_of_four(tmp_path / "m.pt", offset, size, stride)
    with pytest.raises(pickle.UnpicklingError, match="out of its storage"):
        torch_weights(path)
