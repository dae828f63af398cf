"""What the compiler makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgetvm.boards.profile import BoardProfile
from edgetvm.models.model import Provenance, Signature


@dataclass(frozen=True)
class Kernel:
    """One kernel of a compiled model and where its schedule came from.

    Attributes:
        name: of the function in the compiled library.
        calls: how often one run calls it.
        schedule: `default`, `tuned` or `library`.
        rule: the schedule rule that answered.
        nodes: for each call, in their order, the nodes of the source file that it computes.
    """

    name: str
    calls: int
    schedule: Literal["default", "tuned", "library"]
    rule: str
    nodes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A model compiled for one target.

    Attributes:
        name: of the model.
        library: an ELF shared object: kernels, parameters, and the Relax VM's program.
        profile: the board profile that it was compiled for.
        signature, provenance: of the model.
        kernels: in the order of their first call.
    """

    name: str
    library: bytes
    profile: BoardProfile
    signature: Signature
    provenance: Provenance
    kernels: tuple[Kernel, ...]
