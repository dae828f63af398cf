"""A training script on a few pictures: PyTorch's answers are those of the file that it writes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from test_recipe_vision_data import LABELS, pickled

from edgetvm.base.paths import shipped_folder


@pytest.mark.torch
@pytest.mark.parametrize("network", ["resnet8", "mobilenet"])
def test_a_network_learns_a_few_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.syspath_prepend(str(shipped_folder("recipes") / "training"))
    import cifar10

    pictures = np.zeros((3, 32, 32, 3), np.uint8)
    pictures[range(3), :, :, range(3)] = 220  # red, green and blue
    pickled(tmp_path, pictures)
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "data_batch_1").write_bytes((folder / "test_batch").read_bytes())
    output = tmp_path / "network.onnx"
    cifar10.main([str(tmp_path), "--network", network, "--epochs", "30", "-o", str(output)])
    session = onnxruntime.InferenceSession(output)
    scores = [
        session.run(None, {"picture": cifar10.inputs_of(one[np.newaxis]).numpy()})[0][0]
        for one in pictures
    ]
    assert [int(one.argmax()) for one in scores] == LABELS
    sys.modules.pop("cifar10")
