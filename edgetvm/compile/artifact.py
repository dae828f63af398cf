"""What the compiler makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.models.model import Provenance, Signature

ExecutorKind = Literal["native", "relax-vm"]


@dataclass(frozen=True)
class Kernel:
    """One kernel of a compiled model and where its schedule came from.

    Attributes:
        name: of the function in the compiled library.
        calls: how often one run calls it.
        schedule: `default`, `tuned` or `library`.
        rule: the schedule rule that answered.
        nodes: for each call, in their order, the nodes of the source file that it computes.
        workload: its operators with their shapes, as its first call has them.
        layout: in which order the elements of images lie; empty where it reads none.
        multiply_adds: of one call: products that are summed, in the direct form.
        moved_bytes: of one call: of all tensors that it reads and writes.
        reduces: whether it sums or takes a largest element at all.
        decisions: that the rule took, by name.
    """

    name: str
    calls: int
    schedule: Literal["default", "tuned", "library"]
    rule: str
    nodes: tuple[tuple[str, ...], ...] = ()
    workload: str = ""
    layout: str = ""
    multiply_adds: int = 0
    moved_bytes: int = 0
    reduces: bool = False
    decisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def gflop(self) -> float:
        """Of all its calls in one run, a multiply-add counted as two."""
        return 2 * self.multiply_adds * self.calls / 1e9


@dataclass(frozen=True)
class MemoryUse:
    """Memory that a run takes beside inputs, outputs and parameters.

    Attributes:
        peak_activation_bytes: the one block that holds the tensors between inputs and outputs, and
            what kernels need for themselves beyond 8 KiB of stack.
        live_bytes_lower_bound: the most of these that are needed at one time.
    """

    peak_activation_bytes: int
    live_bytes_lower_bound: int


@dataclass(frozen=True)
class Artifact:
    """A model compiled for one target.

    Attributes:
        name: of the model.
        library: an ELF shared object: kernels, parameters, and what calls them.
        profile: the board profile that it was compiled for.
        signature, provenance: of the model.
        kernels: in the order of their first call.
        options: that it was compiled with.
        memory: that a run takes; None where branches or dynamic shapes leave it open.
        executor: what calls the kernels: a function of the library, or TVM's virtual machine.
    """

    name: str
    library: bytes
    profile: BoardProfile
    signature: Signature
    provenance: Provenance
    kernels: tuple[Kernel, ...]
    options: CompileOptions = DEFAULTS
    memory: MemoryUse | None = None
    executor: ExecutorKind = "native"
