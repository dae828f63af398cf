"""The compiler's passes: one list, each with the title that logs and reports use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.folding import fold_constants
from edgetvm.compile.layout import choose_layouts
from edgetvm.compile.legalise import legalise
from edgetvm.compile.memory.arena import free_after_last_use, plan_arenas
from edgetvm.compile.memory.scratch import scratch_as_arguments
from edgetvm.compile.memory.views import reshapes_as_views
from edgetvm.compile.origins import fuse_named
from edgetvm.compile.simplify import fold_pads, fold_scales, unfold_batch_norm

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class Pass:
    """A titled step from module to module."""

    title: str
    make: Callable[[BoardProfile], Callable[[IRModule], IRModule]]


def _relax(name: str) -> Callable[[BoardProfile], Callable[[IRModule], IRModule]]:
    def make(_: BoardProfile) -> Callable[[IRModule], IRModule]:
        from tvm import relax

        made: Callable[[IRModule], IRModule] = getattr(relax.transform, name)()
        return made

    return make


def _dispatch(name: str) -> Callable[[BoardProfile], Callable[[IRModule], IRModule]]:
    def make(_: BoardProfile) -> Callable[[IRModule], IRModule]:
        from tvm import relax

        made: Callable[[IRModule], IRModule] = getattr(relax.backend, name)()
        return made

    return make


# From the imported graph to one fused kernel a call: what tuning takes its tasks from.
GRAPH_PASSES = (
    Pass("lower sampling", _dispatch("DispatchSampling")),
    Pass("lower sort and scan", _dispatch("DispatchSortScan")),
    Pass("fold small constants", lambda _: fold_constants),
    Pass("unfold batch normalisation", lambda _: unfold_batch_norm),
    Pass("choose layouts", lambda _: choose_layouts),
    Pass("drop permutations", _relax("DeadCodeElimination")),
    Pass("fold padding into convolutions", lambda _: fold_pads),
    Pass("fold scales into weights", lambda _: fold_scales),
    Pass("drop what was folded", _relax("DeadCodeElimination")),
    Pass("turn operators into loops", legalise),
    Pass("classify the loops", _relax("AnnotateTIROpPattern")),
    Pass("fold other constants", _relax("FoldConstant")),
    Pass("choose what to fuse", lambda _: fuse_named),
    Pass("turn reshapes into views", lambda _: reshapes_as_views),
    Pass("fuse loops", _relax("FuseTIR")),
    Pass("drop what is unused", _relax("DeadCodeElimination")),
)

# From scheduled kernels to the virtual machine's program, memory planned.
LOWERING_PASSES = (
    Pass("leave dataflow form", _relax("ToNonDataflow")),
    Pass("allow side effects", _relax("RemovePurityChecking")),
    Pass("call kernels by destination", _relax("CallTIRRewrite")),
    Pass("give kernels their scratch memory", lambda _: scratch_as_arguments),
    Pass("place tensors in an arena", lambda _: plan_arenas),
    Pass("plan other memory", _relax("StaticPlanBlockMemory")),
    Pass("allocate", _relax("LowerAllocTensor")),
    Pass("free after last use", lambda _: free_after_last_use),
    Pass("lower runtime calls", _relax("LowerRuntimeBuiltin")),
    Pass("compute scalars", _relax("ComputePrimValue")),
    Pass("lower shapes", _relax("VMShapeLower")),
    Pass("name symbols", _relax("AttachGlobalSymbol")),
)

PASSES = (*GRAPH_PASSES, *LOWERING_PASSES)
