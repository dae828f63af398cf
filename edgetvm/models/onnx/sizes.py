"""Sizes for axes that an ONNX file leaves open and the user did not give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.models.imported import Axis, fixed_shapes, shown_axes
from edgetvm.models.model import ImportOptions

Shapes = dict[str, tuple[int, ...]]

# Sides of images, and lengths of everything else, in the order in which they are tried: what
# published models are made for, then what lets small ones pass.
_SIDES = (224, 320, 640, 256, 48, 512, 32, 96, 64, 128, 299, 384, 1024)
_LENGTHS = (128, 512, 256, 64, 1024, 576, 32, 16, 8, 1600, 4096, 16000, 1)
# Every try is a walk over the whole graph.
_MOST_NODES_WALKED = 20_000


@dataclass(frozen=True)
class Guesses:
    """What to try, and what to say if nothing fits.

    Attributes:
        shapes: in turn; one alone where the user and the file leave nothing open but the batch.
        flags: that give the shapes which were guessed.
    """

    shapes: Sequence[Shapes]
    flags: str


def guesses(
    axes: Mapping[str, Sequence[Axis]], options: ImportOptions, path: Path, nodes: int
) -> Guesses:
    """Shapes for inputs with open axes, of a graph of so many nodes.

    Raises:
        InputError: as `fixed_shapes`.
    """
    found: list[Shapes] = []
    for side, length in zip(_SIDES, _LENGTHS, strict=True):
        shapes = fixed_shapes(axes, options, path, length, side)
        if shapes not in found:
            found.append(shapes)
    flags = " ".join(
        f"--shape {name}={shown_axes(declared).replace(' ', '')}"
        for name, declared in axes.items()
        if found[0][name] != found[-1][name]
    )
    return Guesses(found[: max(1, _MOST_NODES_WALKED // max(nodes, 1))], flags)
