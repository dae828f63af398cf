"""What tuning found, as the compiler takes it: choices for operators and for kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgetvm.compile.memory.strides import without_gaps
from edgetvm.compile.options import CompileOptions, Layout
from edgetvm.compile.schedules.decisions import Decisions

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


# What stands for the rule of a kernel that none has: it stays in plain loops.
NO_RULE = "none"


@dataclass(frozen=True)
class KernelChoice:
    """The schedule of one kernel.

    Attributes:
        rule: title of the schedule rule, or of a space that no rule has.
        decisions: of the rule, by name; those that are left out are taken by default.
        trace: MetaSchedule's, as JSON, for kernels that no rule has.
    """

    rule: str
    decisions: Mapping[str, str] = field(default_factory=dict)
    trace: str | None = None


@dataclass(frozen=True)
class TunedSchedules:
    """All choices for one board profile and level.

    Attributes:
        kernels: by `workload_key`.
        operators: what is decided before there are kernels, by operator key: decisions by name.
        layouts: in which a whole model is fastest, by the SHA-256 of its source; for models whose
            layout nobody forces.
    """

    kernels: Mapping[str, KernelChoice] = field(default_factory=dict)
    operators: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    def options_for(self, model_sha256: str, options: CompileOptions) -> CompileOptions:
        """How a model is compiled: its layout is the tuned one unless another is forced."""
        layout = self.layout_for(model_sha256, options)
        return options if layout == "auto" else replace(options, layout=layout)

    def layout_for(self, model_sha256: str, options: CompileOptions) -> Layout:
        """The layout that tuning found for a model; `auto` for none, and where one is forced."""
        return self.layouts.get(model_sha256, "auto") if options.layout == "auto" else "auto"


UNTUNED = TunedSchedules()


def workload_key(function: PrimFunc) -> str:
    """What a kernel computes, whatever it and its buffers are called and wherever its tensors lie.

    Returns:
        16 hexadecimal digits: TVM's structural hash.
    """
    import tvm_ffi

    whole = without_gaps(function)
    bare = whole.with_attr("global_symbol", "main")
    return f"{tvm_ffi.structural_hash(bare) & (2**64 - 1):016x}"


@dataclass
class OperatorChoices:
    """Decisions on operators that are turned into loops: which form, which packing.

    Attributes:
        wanted: choices other than the defaults, by operator key and name.
        asked: the decisions that were taken, by operator key.
        sources: variables of the model that the operators belong to, by operator key.
    """

    wanted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    asked: dict[str, Decisions] = field(default_factory=dict)
    sources: dict[str, set[str]] = field(default_factory=dict)

    def of(self, key: str, source: str = "") -> Decisions:
        """The decisions of one operator.

        Args:
            key: of the operator.
            source: variable of the model that this call of it belongs to.
        """
        self.sources.setdefault(key, set()).add(source)
        if key not in self.asked:
            self.asked[key] = Decisions(self.wanted.get(key, {}))
        return self.asked[key]
