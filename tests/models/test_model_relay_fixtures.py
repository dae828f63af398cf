"""Whole models, each a folder: model.relay, model.json, model.params, inputs.npz, outputs.npz.

Beside this file lie a few small ones, written by hand. `EDGETVM_RELAY_FIXTURES=FOLDER` runs every
folder in FOLDER instead.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import Model, import_model
from edgetvm.package import Executor

ROOT = Path(os.environ.get("EDGETVM_RELAY_FIXTURES") or Path(__file__).parent / "relay_fixtures")
FOLDERS = sorted(folder for folder in ROOT.iterdir() if folder.is_dir())
FORMS = ("model.relay", "model.json")


def inputs_for(model: Model, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs by the names that the text gives them: `v` before what is no letter, and numbers.

    Relay lets several inputs share one name, and fed them all the same array by it. Where no name
    is known, the order counts.
    """
    found = {}
    for position, spec in enumerate(model.signature.inputs):
        names = [spec.name, spec.name[1:], *(re.sub(r"\d+$", "", spec.name[n:]) for n in (0, 1))]
        known = [given[name] for name in names if name in given]
        found[spec.name] = known[0] if known else list(given.values())[position]
    return found


def assert_agrees(found: np.ndarray, expected: np.ndarray) -> None:
    """Floats to 1e-4, of the largest where they are large; integers to one quantum."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if expected.dtype.kind == "b":
        np.testing.assert_array_equal(found, expected)
    elif expected.dtype.kind in "iu":
        quantum = 1 if expected.dtype.itemsize == 1 else 0
        apart = np.abs(found.astype("int64") - expected.astype("int64"))
        assert apart.max(initial=0) <= quantum
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_relay_fixtures(folder: Path, form: str) -> None:
    if not (folder / form).exists():
        pytest.skip(f"no {form} in it")
    model = import_model(folder / form)
    with np.load(folder / "inputs.npz") as given, np.load(folder / "outputs.npz") as wanted:
        inputs, expected = inputs_for(model, dict(given)), list(wanted.values())
    artifact = compile_model(model, load_profile("local"))
    outputs = list(Executor(artifact.library, artifact.signature).run(inputs).values())
    assert len(outputs) == len(expected)
    for found, one in zip(outputs, expected, strict=True):
        assert_agrees(found, one)
