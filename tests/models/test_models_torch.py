"""Exported PyTorch programs. PyTorch is a group of its own: scripts/test --all runs these."""

from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import InputError, ModelUnreadableError
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import ImportOptions, import_model
from edgetvm.package import Executor

pytestmark = pytest.mark.torch


@pytest.fixture
def program(tmp_path: Path) -> Path:
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 8 * 8, 5),
    ).eval()
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(module, (torch.rand(1, 3, 16, 16),)), path)
    return path


def test_an_exported_program_answers_as_pytorch_does(program: Path) -> None:
    import torch

    model = import_model(program)
    (spec,) = model.signature.inputs
    assert spec.shape == (1, 3, 16, 16) and spec.dtype == "float32"
    assert model.parameter_count == 3 * 8 * 9 + 8 + 512 * 5 + 5
    array = np.random.default_rng(7).random(spec.shape).astype("float32")
    artifact = compile_model(model, load_profile("local"))
    (found,) = Executor(artifact.library, artifact.signature).run({spec.name: array}).values()
    expected = torch.export.load(program).module()(torch.from_numpy(array)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_cut_off_program_is_refused_in_one_sentence(program: Path) -> None:
    program.write_bytes(program.read_bytes()[:2000])
    with pytest.raises(ModelUnreadableError, match="not an exported PyTorch program"):
        import_model(program)


def test_an_unknown_input_name_is_told(program: Path) -> None:
    with pytest.raises(InputError, match="no input 'nope'"):
        import_model(program, ImportOptions(shapes={"nope": (1,)}))
