"""The compiler's passes: one list, each with the title that logs and reports use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.affine import join_factors
from edgetvm.compile.flattening import flatten_pointwise
from edgetvm.compile.folding import fold_constants
from edgetvm.compile.half import compute_in_half
from edgetvm.compile.integers import keep_integers
from edgetvm.compile.layout import choose_layouts
from edgetvm.compile.lowering import lower_contractions
from edgetvm.compile.lowering.costs import convolution_costs
from edgetvm.compile.memory.arena import free_after_last_use, plan_arenas
from edgetvm.compile.memory.joins import join_in_place
from edgetvm.compile.memory.scratch import scratch_as_arguments
from edgetvm.compile.memory.views import reshapes_as_views
from edgetvm.compile.options import PRECISIONS, CompileOptions, Precision
from edgetvm.compile.origins import fuse_named, mark_variables, tell_variables_apart
from edgetvm.compile.outputs import copy_shared_outputs
from edgetvm.compile.simplify import fold_pads, fold_scales, unfold_batch_norm
from edgetvm.compile.subpixels import phases_as_features
from edgetvm.compile.tuned import OperatorChoices

if TYPE_CHECKING:
    from tvm.ir import IRModule


Make = Callable[[BoardProfile, CompileOptions, OperatorChoices], Callable[["IRModule"], "IRModule"]]


@dataclass(frozen=True)
class Pass:
    """A titled step from module to module.

    Attributes:
        title: unique among all passes.
        make: gives the step for a board, what the user chose, and what is decided on operators.
        level: the first optimisation level that has it.
        precisions: that have it.
    """

    title: str
    make: Make
    level: int = 0
    precisions: tuple[Precision, ...] = PRECISIONS


def _relax(name: str) -> Make:
    def make(*_: object) -> Callable[[IRModule], IRModule]:
        from tvm import relax

        made: Callable[[IRModule], IRModule] = getattr(relax.transform, name)()
        return made

    return make


def _dispatch(name: str) -> Make:
    def make(*_: object) -> Callable[[IRModule], IRModule]:
        from tvm import relax

        made: Callable[[IRModule], IRModule] = getattr(relax.backend, name)()
        return made

    return make


def _layouts(
    profile: BoardProfile, options: CompileOptions, _: OperatorChoices
) -> Callable[[IRModule], IRModule]:
    costs = convolution_costs(profile, options.level.winograd, options.dtype)
    lanes = profile.vector_lanes if options.dtype == "float32" else 1
    return partial(choose_layouts, layout=options.layout, costs=costs, lanes=lanes)


# On operators, from the imported graph to the one that is turned into loops.
OPERATOR_PASSES = (
    Pass("mark the model's variables", lambda *_: mark_variables),
    Pass("lower sampling", _dispatch("DispatchSampling")),
    Pass("lower sort and scan", _dispatch("DispatchSortScan")),
    Pass("fold small constants", lambda *_: fold_constants, level=1),
    Pass("unfold batch normalisation", lambda *_: unfold_batch_norm, level=1),
    Pass("turn phases into features", lambda board, *_: phases_as_features(board), level=2),
    Pass("choose layouts", _layouts, level=2),
    Pass("drop permutations", _relax("DeadCodeElimination"), level=2),
    Pass("fold constants that were permuted", lambda *_: fold_constants, level=2),
    Pass("join rows of pointwise convolutions", lambda *_: flatten_pointwise, level=2),
    Pass("keep quantised sums in integers", lambda *_: keep_integers, level=2),
    Pass("join constant factors and terms", lambda *_: join_factors, level=4),
    Pass("fold padding into convolutions", lambda *_: fold_pads, level=1),
    Pass("fold scales into weights", lambda *_: fold_scales, level=1),
    Pass("drop what was folded", _relax("DeadCodeElimination"), level=1),
    Pass("compute in float16", lambda *_: compute_in_half, precisions=("fp16",)),
    Pass("tell variables apart", lambda *_: tell_variables_apart),
)

# From operators to one fused kernel a call: what tuning takes its tasks from.
KERNEL_PASSES = (
    Pass("pack weights", lower_contractions, level=2),
    Pass("drop what was packed", _relax("DeadCodeElimination"), level=2),
    Pass("turn operators into loops", _relax("LegalizeOps")),
    Pass("classify the loops", _relax("AnnotateTIROpPattern"), level=1),
    Pass("fold other constants", _relax("FoldConstant"), level=1),
    Pass("choose what to fuse", lambda *_: fuse_named, level=1),
    Pass("turn reshapes into views", lambda *_: reshapes_as_views, level=1),
    Pass("fuse loops", _relax("FuseTIR"), level=1),
    Pass("drop what is unused", _relax("DeadCodeElimination"), level=1),
    Pass("copy outputs that are no tensors of their own", lambda *_: copy_shared_outputs),
)

# On fused kernels, those that are tuned without regard to where their tensors lie.
PLACING_PASSES = (Pass("join tensors in place", lambda *_: join_in_place, level=2),)

# From scheduled kernels to calls of them, memory planned: all that a plain list of calls needs.
_ARENA = "place tensors in an arena"
PLANNING_PASSES = (
    Pass("leave dataflow form", _relax("ToNonDataflow")),
    Pass("allow side effects", _relax("RemovePurityChecking")),
    Pass("call kernels by destination", _relax("CallTIRRewrite")),
    Pass("give kernels their scratch memory", lambda *_: scratch_as_arguments, level=1),
    Pass(_ARENA, lambda *_: plan_arenas, level=1),
)

# From there to the virtual machine's program, for models that are more than such a list.
MACHINE_PASSES = (
    Pass("plan other memory", _relax("StaticPlanBlockMemory"), level=1),
    Pass("allocate", _relax("LowerAllocTensor")),
    Pass("free after last use", lambda *_: free_after_last_use),
    Pass("lower runtime calls", _relax("LowerRuntimeBuiltin")),
    Pass("compute scalars", _relax("ComputePrimValue")),
    Pass("lower shapes", _relax("VMShapeLower")),
    Pass("name symbols", _relax("AttachGlobalSymbol")),
)

LOWERING_PASSES = (*PLANNING_PASSES, *MACHINE_PASSES)
PASSES = (*OPERATOR_PASSES, *KERNEL_PASSES, *PLACING_PASSES, *LOWERING_PASSES)


def at_level(passes: tuple[Pass, ...], options: CompileOptions) -> tuple[Pass, ...]:
    """The passes of a level and precision, in their order."""
    return tuple(
        one
        for one in passes
        if one.level <= options.level.number and options.precision in one.precisions
    )


def plans_memory(options: CompileOptions) -> bool:
    """Whether a level gives all tensors places in one arena, where their shapes are known."""
    return any(one.title == _ARENA for one in at_level(PLANNING_PASSES, options))
