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
