"""What training scripts share: one seed, one thread, and a file that says what it comes from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch

from edgetvm.base.files import sha256_of_file
from edgetvm.recipes import run_module

RECIPES = Path(__file__).resolve().parent.parent
_OPSET = 17


def settled(seed: int) -> None:
    """Make what follows the same each time."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


def module_of(name: str) -> object:
    """The module of a recipe: `series/prices`."""
    return run_module(RECIPES / f"{name}.py")


def export(
    module: torch.nn.Module,
    example: Sequence[torch.Tensor],
    path: Path,
    names: tuple[Sequence[str], Sequence[str]],
    told: Mapping[str, str],
) -> None:
    """Write a module as ONNX, with what is told of it in its metadata, and say so.

    Args:
        names: of its inputs and outputs.
    """
    module.eval()
    torch.onnx.export(
        module,
        tuple(example),
        str(path),
        input_names=list(names[0]),
        output_names=list(names[1]),
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(told))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    _say(path, told)


def _say(path: Path, told: Mapping[str, str]) -> None:
    sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")
    sys.stdout.write(f"  sha256: {sha256_of_file(path)}\n")
    for key, value in told.items():
        sys.stdout.write(f"  {key}: {value}\n")


def batches(count: int, size: int, generator: np.random.Generator) -> list[torch.Tensor]:
    """All numbers below `count`, shuffled, in lots of `size`; what is left over is left out."""
    order = torch.from_numpy(generator.permutation(count))
    return [order[at : at + size] for at in range(0, count - size + 1, size)]
